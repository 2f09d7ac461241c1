"""POST /v1/chat/completions: from the request's body to the end of its answer, in one piece or as a stream.

Everything that takes time (reading, grammars, tokens, the model) is done on the request's own thread. A client that
goes away, the time limit and the server's stop each cancel the answer, which ends within a token. A stream's status is
sent with its first words, so that what fails before has a status of its own; what fails later is an `error` event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from coalm_lite.app.server.answering import Finished, FinishReason, Usage, Words, answer
from coalm_lite.app.server.asking import read_asked
from coalm_lite.app.server.blocks import Blocks
from coalm_lite.app.server.body import read_body
from coalm_lite.app.server.chat_request import ChatRequest
from coalm_lite.app.server.chat_response import Speaker, event_of
from coalm_lite.app.server.metrics import Counters
from coalm_lite.app.server.pool import items_of
from coalm_lite.app.server.reading import read_chat_request
from coalm_lite.app.server.refusal import Refusal, refusal_of
from coalm_lite.app.server.served import Served
from coalm_lite.app.server.settings import Limits
from coalm_lite.runtime.base import Cancel

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class _Understood:
    """The request was read; its answer begins."""

    request: ChatRequest


class ChatEndpoint:
    """The endpoint, as an ASGI application."""

    def __init__(self, served: Served, limits: Limits, counters: Counters) -> None:
        self._served = served
        self._limits = limits
        self._counters = counters
        self._blocks = Blocks()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, however it ends."""
        head = _Head(send)
        try:
            body = await read_body(Request(scope, receive), self._limits.body_bytes, self._limits.body_s)
            with self._served.line.place() as cancel:
                async with _watched(receive, cancel), asyncio.timeout(self._limits.timeout_s):
                    await self._answer(body, cancel, scope, head)
        except (ClientDisconnect, _GoneError):
            return
        except Exception as error:
            await self._tell(error, head, scope, receive)

    async def _tell(self, error: Exception, head: _Head, scope: Scope, receive: Receive) -> None:
        if isinstance(error, TimeoutError):
            error = Refusal(504, f"there was no whole answer within {self._limits.timeout_s:g} s", code="timeout")
        refusal = refusal_of(error)
        if head.sent:
            await head.end(event_of(refusal.body))
        else:
            response = JSONResponse(refusal.body, refusal.status, refusal.headers)
            await response(scope, receive, head.send)

    async def _answer(self, body: bytes, cancel: Cancel, scope: Scope, head: _Head) -> None:
        text: list[str] = []
        speaker: Speaker | None = None
        streams = False
        async with aclosing(items_of(self._served.line.pool, lambda: self._work(body, cancel))) as events:
            async for items in events:
                written = b""
                for item in items:
                    if isinstance(item, _Understood):
                        speaker, streams = self._speaker(item.request), bool(item.request.stream)
                        continue
                    assert speaker is not None
                    if streams:
                        written += self._piece(item, speaker, head)
                    elif isinstance(item, Words):
                        text.append(item.text)
                    else:
                        whole = speaker.whole("".join(text), item, self._ended(item))
                        await Response(whole, media_type="application/json")(scope, _nothing_comes, head.send)
                if written:
                    await head.more(written, ended=isinstance(items[-1], Finished))

    def _speaker(self, request: ChatRequest) -> Speaker:
        tells_usage = bool(request.stream_options and request.stream_options.include_usage)
        return Speaker(self._served.name, self._served.created, tells_usage)

    def _piece(self, item: Words | Finished, speaker: Speaker, head: _Head) -> bytes:
        """A stream's next bytes."""
        first = b"" if head.begun else speaker.first()
        if isinstance(item, Words):
            head.begun = True
            return first + speaker.words(item.text)
        reason = self._ended(item)
        head.begun = True
        calls = speaker.calls(item.calls) if item.calls else b""
        return first + calls + speaker.last(item.usage, reason)

    def _ended(self, finished: Finished) -> FinishReason:
        """Why the answer ended, counted; Refusal where it was stopped from outside."""
        if finished.reason is None:
            if self._served.line.stopping:
                raise Refusal(503, "the server is stopping", code="stopping", retry_s=1)
            raise _GoneError
        self._counters.answered(finished.reason, finished.ttft_s)
        return finished.reason

    def _work(self, body: bytes, cancel: Cancel) -> Iterator[_Understood | Words | Finished]:
        """What the request's own thread does."""
        request = read_chat_request(body)
        self._served.check_name(request.model)
        desk = self._served.desk
        asked = read_asked(request, desk, self._served.dialect, self._limits.max_tokens)
        tokens = asked.tokens(desk)
        room = desk.info.context_tokens - len(tokens)
        asked = replace(asked, sampling=replace(asked.sampling, max_tokens=min(asked.sampling.max_tokens, room)))
        yield _Understood(request)
        if not self._blocks.ready(desk, asked, tokens, cancel):
            yield Finished((), None, Usage())
            return
        yield from answer(desk, asked, tokens, cancel)


class _GoneError(Exception):
    """The client has gone; nobody is to be told anything."""


class _Head:
    """What was sent of a response already."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.sent = False
        self.begun = False

    async def more(self, data: bytes, ended: bool) -> None:
        """Send a stream's next bytes, its head before the first."""
        if not self.sent:
            self.sent = True
            start = Response(headers=_STREAM_HEADERS, media_type="text/event-stream")
            headers = [(name, value) for name, value in start.raw_headers if name != b"content-length"]
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": data, "more_body": not ended})

    async def end(self, data: bytes) -> None:
        """Send the last bytes."""
        await self.more(data, ended=True)


@asynccontextmanager
async def _watched(receive: Receive, cancel: Cancel) -> AsyncIterator[None]:
    """Cancels the work when the client goes away."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        cancel.set()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def _nothing_comes() -> Message:
    raise AssertionError("a whole response asks for nothing")
