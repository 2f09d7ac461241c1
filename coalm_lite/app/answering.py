"""One answer as who asked for it sees it: events from a thread or process that computes them, until the last.

The asker waits here alone. A cancel wakes it at once; if the engine, busy with a batch of others, does not end the
answer soon, it is ended here, and what the engine still says of it is not heard.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Generator
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TypeAlias

from coalm_lite.decoding.requests import AnswerEvent, Failed, Generated, Piece, Request
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.errors import DecodingError
from coalm_lite.runtime.base import Cancel
from coalm_lite.types import Timings

Tell: TypeAlias = Callable[[AnswerEvent], object]
Submit: TypeAlias = Callable[[Request, Tell], object]

_PATIENCE_S = 0.05  # how long a cancelled answer waits for its own end, which knows its tokens and timings


def events_of(
    request: Request, submit: Submit, look: Callable[[], object] = lambda: None, look_s: float | None = None
) -> Generator[Piece | Generated, None, None]:
    """The events of `request`, handed to `submit` with a cancel of its own; raises its error.

    `look` is called every `look_s` seconds without an event: whether whoever computes is still at it. What could end a
    thread that many share is refused before: a sampling that means nothing (UsageError), a prompt that is no tokens
    (DecodingError).
    """
    _check(request)
    asker = _Asker(request)
    try:
        submit(replace(request, cancel=asker.own), asker.box.put)
        yield from asker.events(look, look_s)
    finally:
        asker.leave()


def _check(request: Request) -> None:
    Sampler(request.sampling)
    for tokens in (request.prompt, request.recorded):
        try:
            array("i", tokens)
        except (TypeError, OverflowError) as error:
            raise DecodingError(f"a prompt is a sequence of tokens: {error}", "Make it with `tokenize`.") from error


class _Asker:
    """Who waits for an answer."""

    def __init__(self, request: Request) -> None:
        self.box: SimpleQueue[AnswerEvent | None] = SimpleQueue()  # None: look whether it was cancelled
        self.own = Cancel()
        self._request = request
        self._ended = False
        self._written: list[str] = []
        self._began = time.perf_counter()
        self._first_piece_s = 0.0
        request.cancel.tell(self._stop)

    def _stop(self) -> None:
        self.own.set()
        self.box.put(None)

    def leave(self) -> None:
        """Let the answer go, if it is still in work."""
        self._request.cancel.forget(self._stop)
        if not self._ended:
            self.own.set()

    def events(self, look: Callable[[], object], look_s: float | None) -> Generator[Piece | Generated, None, None]:
        """The events as they come, until the answer's own end or the one that is made here."""
        until: float | None = None
        while not self._ended:
            try:
                event = self.box.get(timeout=look_s if until is None else max(0.0, until - time.perf_counter()))
            except Empty:
                if until is None:
                    look()
                    continue
                event = self._cancelled()
            if event is None:
                until = until or time.perf_counter() + _PATIENCE_S
            else:
                yield self._taken(event)

    def _taken(self, event: AnswerEvent) -> Piece | Generated:
        self._ended = not isinstance(event, Piece)
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Piece):
            self._first_piece_s = self._first_piece_s or time.perf_counter() - self._began
            self._written.append(event.text)
        return event

    def _cancelled(self) -> Generated:
        """The end that the asker makes: what was yielded is all it knows."""
        total = time.perf_counter() - self._began
        prompt = len(self._request.prompt)
        timings = Timings(prompt_tokens=prompt, ttft_s=self._first_piece_s, total_s=total, steps=1)
        return Generated("".join(self._written), "cancelled", (), 0, timings)
