"""Who may ask: the Host header, the Origin of a web page, and the key, looked at before anything else is.

A Host that is a name must be localhost or allowed by `--allow-host`: a web page whose name was rebound to this machine
sends its own. A Host that is an address cannot be rebound; bound to loopback, it must be a loopback one. An Origin,
which only browsers send, must be allowed by `--allow-origin`. The key is compared in constant time; /health and
/openapi.json need none.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coalm_lite.app.server.refusal import Refusal
from coalm_lite.app.server.settings import LOOPBACK_NAMES, Access, ip_address, is_loopback

OPEN_PATHS = ("/health", "/openapi.json")
_ALL = "*"
_PREFLIGHT_S = 600


class Guard:
    """The application behind a check of each request."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._hosts = {name.lower() for name in (*LOOPBACK_NAMES, access.host, *access.hosts)}
        self._only_loopback = is_loopback(access.host)
        self._origins = {origin.lower().rstrip("/") for origin in access.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request, pass on an allowed one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        try:
            self._check_host(headers)
            self._check_origin(origin)
            if origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await _preflight(origin, headers)(scope, receive, send)
                return
            self._check_key(scope["path"], headers)
        except Refusal as refusal:
            allowed = {} if origin is None or refusal.code == "foreign_origin" else _cors(origin)
            response = JSONResponse(refusal.body, refusal.status, refusal.headers | allowed)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send if origin is None else _with_cors(send, origin))

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        name = host_name(given[0]) if len(given) == 1 else ""
        address = ip_address(name)
        if name in self._hosts or (address is not None and (address.is_loopback or not self._only_loopback)):
            return
        problem = f"the host {name[:80]!r} is not served here; coalm-lite serve --allow-host {name[:80]} allows it"
        raise Refusal(421, problem if name else "one Host header is due", code="foreign_host")

    def _check_origin(self, origin: str | None) -> None:
        if origin is None or _ALL in self._origins or origin.lower() in self._origins:
            return
        problem = f"pages of {origin[:80]!r} may not ask; coalm-lite serve --allow-origin {origin[:80]} allows it"
        raise Refusal(403, problem, code="foreign_origin")

    def _check_key(self, path: str, headers: Headers) -> None:
        if path in OPEN_PATHS:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Both are compared as bytes: a text that is not ASCII would be refused with an error in place of an answer.
        right = hmac.compare_digest(given.strip().encode(), self._access.key.encode())
        if scheme.lower() != "bearer" or not right:
            problem = "wrong key" if given else "a key is due: Authorization: Bearer KEY"
            raise Refusal(401, problem, code="invalid_api_key")


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in small letters."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _cors(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def _preflight(origin: str, headers: Headers) -> Response:
    """The answer to a browser that asks whether a page may ask."""
    allowed = _cors(origin) | {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": headers.get("access-control-request-headers", "authorization, content-type"),
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=204, headers=allowed)


def _with_cors(send: Send, origin: str) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_cors(origin))
        await send(message)

    return add
