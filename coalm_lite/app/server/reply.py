"""How an answer is told to its client: in one piece, or as a stream of events.

A stream's status is sent with its first words, so that what fails before has a status of its own; what fails later is
an `error` event. A whole answer is sent when it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.responses import Response
from starlette.types import Send

from coalm_lite.app.server.answering import Finished, FinishReason, Words
from coalm_lite.app.server.chat_response import Speaker

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
Ended = Callable[[Finished], FinishReason]


class Channel:
    """The way to one client; `sent` once a response has begun."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.sent = False

    async def whole(self, data: bytes) -> None:
        """Send one JSON document, which is the whole response."""
        await self._begin(Response(data, media_type="application/json"))
        await self.send({"type": "http.response.body", "body": data})

    async def event(self, data: bytes, ended: bool) -> None:
        """Send a stream's next bytes, its head before the first."""
        if not self.sent:
            await self._begin(Response(headers=_STREAM_HEADERS, media_type="text/event-stream"), "content-length")
        await self.send({"type": "http.response.body", "body": data, "more_body": not ended})

    async def _begin(self, response: Response, without: str = "") -> None:
        self.sent = True
        headers = [(name, value) for name, value in response.raw_headers if name.decode() != without]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})


class Reply(Protocol):
    """Tells an answer."""

    async def take(self, items: Sequence[Words | Finished]) -> None:
        """Tell the next of it."""
        ...


class WholeReply:
    """An answer in one piece. `ended` says why it ended, or raises."""

    def __init__(self, channel: Channel, speaker: Speaker, ended: Ended) -> None:
        self._channel = channel
        self._speaker = speaker
        self._ended = ended
        self._text = ""

    async def take(self, items: Sequence[Words | Finished]) -> None:
        """Collect words; send all at the end."""
        for item in items:
            if isinstance(item, Words):
                self._text += item.text
            else:
                await self._channel.whole(self._speaker.whole(self._text, item, self._ended(item)))


class StreamedReply:
    """An answer as events."""

    def __init__(self, channel: Channel, speaker: Speaker, ended: Ended) -> None:
        self._channel = channel
        self._speaker = speaker
        self._ended = ended
        self._begun = False

    async def take(self, items: Sequence[Words | Finished]) -> None:
        """Send what came, in one write."""
        data = b"".join(map(self._bytes, items))
        if data:
            await self._channel.event(data, ended=isinstance(items[-1], Finished))

    def _bytes(self, item: Words | Finished) -> bytes:
        told = self._speaker.words(item.text) if isinstance(item, Words) else self._end(item)
        first, self._begun = b"" if self._begun else self._speaker.first(), True
        return first + told

    def _end(self, finished: Finished) -> bytes:
        reason = self._ended(finished)
        calls = self._speaker.calls(finished.calls) if finished.calls else b""
        return calls + self._speaker.last(finished.usage, reason)
