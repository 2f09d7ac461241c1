"""POST /v1/chat/completions: from the request's body to the end of its answer, in one piece or as a stream.

Everything that takes time (reading, grammars, tokens, the model) is done on the request's own thread. A client that
goes away, the time limit and the server's stop each cancel the answer, which ends within a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

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
        work = _Work(self._served, self._limits.max_tokens, self._blocks, body, cancel)
        reply: Reply | None = None
        async with aclosing(items_of(self._served.line.pool, work.events)) as events:
            async for items in events:
                reply = reply or self._reply(work.request, channel)
                await reply.take(items)

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


class _Work:
    """What a request's own thread does."""

    request: ChatRequest  # there once something came of it

    def __init__(self, served: Served, max_tokens: int, blocks: Blocks, body: bytes, cancel: Cancel) -> None:
        self._served = served
        self._max_tokens = max_tokens
        self._blocks = blocks
        self._body = body
        self._cancel = cancel

    def events(self) -> Iterator[Words | Finished]:
        """The answer's; raises what is wrong with the request, or goes wrong with the answer."""
        self.request = read_chat_request(self._body)
        self._served.check_name(self.request.model)
        desk = self._served.desk
        asked = read_asked(self.request, desk, self._served.dialect, self._max_tokens)
        tokens = asked.tokens(desk)
        if not self._blocks.ready(desk, asked, tokens, self._cancel):
            yield Finished((), None, Usage())
            return
        yield from answer(desk, asked, tokens, self._cancel)


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
