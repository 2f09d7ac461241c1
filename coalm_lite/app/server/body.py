"""A request's body within its limits: bytes, and seconds from the first to the last of them."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from coalm_lite.app.server.refusal import Refusal

_DISCARDED = 8  # times the limit: read and dropped, so that a client that is still sending hears the refusal


async def read_body(request: Request, most_bytes: int, most_s: float) -> bytes:
    """The body; Refusal 413, 408 or, for another kind than JSON, 415. ClientDisconnect when the client is gone."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, f"the body is {kind or 'of no kind'}; send Content-Type: application/json")
    announced = request.headers.get("content-length", "")
    waits = request.headers.get("expect", "").lower() == "100-continue"  # it sends no body to who refuses it
    if waits and announced.isdecimal() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    try:
        async with asyncio.timeout(most_s):
            return await _all(request, most_bytes)
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {most_s:g} s", code="timeout") from None


async def _all(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    came = 0
    async for piece in request.stream():
        came += len(piece)
        if came > _DISCARDED * most_bytes:
            break
        if came <= most_bytes:
            body += piece
    if came > most_bytes:
        raise _too_large(most_bytes)
    return bytes(body)


def _too_large(most_bytes: int) -> Refusal:
    return Refusal(413, f"the body is larger than {most_bytes} bytes", code="body_too_large")
