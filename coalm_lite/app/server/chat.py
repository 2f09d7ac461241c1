"""POST /v1/chat/completions: from the request's body to the end of its answer, in one piece or as a stream.

Everything that takes time (reading, grammars, tokens, the model) is done on the request's own thread. A client that
goes away, the time limit and the server's stop each cancel the answer, which ends within a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

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
from coalm_lite.app.server.reply import Channel, Reply, StreamedReply, WholeReply
from coalm_lite.app.server.served import Served
from coalm_lite.app.server.settings import Limits
from coalm_lite.runtime.base import Cancel


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
        channel = Channel(send)
        try:
            body = await read_body(Request(scope, receive), self._limits.body_bytes, self._limits.body_s)
            with self._served.line.place() as cancel:
                async with _watched(receive, cancel), asyncio.timeout(self._limits.timeout_s):
                    await self._answer(body, cancel, channel)
        except (ClientDisconnect, _GoneError):
            return
        except Exception as error:
            await self._tell(error, channel, scope, receive)

    async def _tell(self, error: Exception, channel: Channel, scope: Scope, receive: Receive) -> None:
        if isinstance(error, TimeoutError):
            error = Refusal(504, f"there was no whole answer within {self._limits.timeout_s:g} s", code="timeout")
        refusal = refusal_of(error)
        if channel.sent:
            await channel.event(event_of(refusal.body), ended=True)
        else:
            response = JSONResponse(refusal.body, refusal.status, refusal.headers)
            await response(scope, receive, channel.send)

    async def _answer(self, body: bytes, cancel: Cancel, channel: Channel) -> None:
        reply: Reply | None = None
        async with aclosing(items_of(self._served.line.pool, lambda: self._work(body, cancel))) as events:
            async for items in events:
                if isinstance(first := items[0], _Understood):
                    reply = self._reply(first.request, channel)
                assert reply is not None
                await reply.take([item for item in items if not isinstance(item, _Understood)])

    def _reply(self, request: ChatRequest, channel: Channel) -> Reply:
        tells_usage = bool(request.stream_options and request.stream_options.include_usage)
        speaker = Speaker(self._served.name, self._served.created, tells_usage)
        kind = StreamedReply if request.stream else WholeReply
        return kind(channel, speaker, self._ended)

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
        yield _Understood(request)
        if not self._blocks.ready(desk, asked, tokens, cancel):
            yield Finished((), None, Usage())
            return
        yield from answer(desk, asked, tokens, cancel)


class _GoneError(Exception):
    """The client has gone; nobody is to be told anything."""


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
