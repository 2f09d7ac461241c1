"""Turns one after the other: any thread asks, a thread that lives as long as there is work answers in that order.

A turn goes on at the engine's pace, whether or not what it gives is read, so that one left half-read holds up nobody;
cancelling it, by name or by no longer holding its iterator, ends it within a token. Covered: threads and asyncio,
closing in the middle, asking from inside a turn (refused, for it would wait for itself). Not here: what a turn does.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from coalm_lite.errors import DecodingError, UsageError
from coalm_lite.runtime.base import Cancel

Item = TypeVar("Item")
WAIT_SLICE_S = 0.2  # Windows delivers Ctrl-C between two waits
_LEAVE_S = 5.0


@dataclass(frozen=True, slots=True)
class _End:
    """Nothing more comes; `error` is why, unless the turn is through."""

    error: BaseException | None = None


_Put: TypeAlias = "Callable[[Item | _End], object]"
Work: TypeAlias = "Callable[[Cancel], Iterator[Item]]"


class Turn(Generic[Item]):
    """Work on its way to whoever asked for it. `loop`: where that is a task of asyncio."""

    def __init__(self, work: Work[Item], put: _Put[Item], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.cancel = Cancel()
        self.loop = loop
        self.ended = False
        self.in_callback = False  # the app's own code runs, which may take any time
        self.context = contextvars.copy_context()  # so that a tool sees what its asker sees
        self._work = work
        self._put = put
        self._dropped = False
        self._lock = threading.RLock()  # a signal handler may cancel or close

    def drop(self) -> None:
        """Nobody listens any more. Takes no lock, since the garbage collector may call it anywhere."""
        self._dropped = True
        if not self.ended:
            self.cancel.set()

    def end(self, error: BaseException | None = None) -> None:
        """Tell the listener that this is all, if that was not told before."""
        with self._lock:
            if not self.ended:
                self.ended = True
                self._put(_End(error))

    @contextmanager
    def callback(self) -> Iterator[None]:
        """While the app's own code runs: a close does not wait for it."""
        self.in_callback = True
        try:
            yield
        finally:
            self.in_callback = False

    def play(self) -> None:
        """Do the work; what a cancel leaves to do is done, though nobody listen."""
        within = _inside.set((*_inside.get(), self))
        try:
            if not self._dropped:
                for item in self._work(self.cancel):
                    self._give(item)
            self.end()
        except BaseException as error:  # the asker's to handle, on the asker's thread
            self.end(error)
        finally:
            _inside.reset(within)  # else turn and context would hold each other, and the model

    def _give(self, item: Item) -> None:
        with self._lock:
            if not (self.ended or self._dropped):
                self._put(item)


AnyTurn: TypeAlias = Turn[Any]  # in a queue stand turns of all kinds of items
_inside: contextvars.ContextVar[tuple[AnyTurn, ...]] = contextvars.ContextVar("_inside", default=())


class TurnQueue:
    """The turns of one conversation partner. Safe for any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()
        self._waiting: deque[AnyTurn] = deque()
        self._running: AnyTurn | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def running(self) -> AnyTurn | None:
        """The turn that is being answered."""
        return self._running

    def check(self) -> None:
        """Raise what asking for a turn here and now would raise."""
        if self._closed:
            raise closed_error()
        if self._is_inside():
            raise UsageError(
                "an answer was asked for inside a turn of the same assistant, which would wait for itself",
                "A tool or an approve callback may ask another assistant, or ask once the turn is over.",
            )

    def iterate(self, work: Work[Item]) -> Generator[Item, None, None]:
        """What `work` gives; asked for at the first `next`. Closing it, or holding it no longer, cancels."""
        received: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
        turn = Turn(work, received.put)
        self._submit(turn)
        try:
            while not isinstance(item := _received(received), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            turn.drop()

    async def aiterate(self, work: Work[Item]) -> AsyncGenerator[Item, None]:
        """As `iterate`, for a task of asyncio; cancelling the task cancels the turn."""
        loop = asyncio.get_running_loop()
        received: asyncio.Queue[Item | _End] = asyncio.Queue()

        def put(item: Item | _End) -> None:
            try:
                loop.call_soon_threadsafe(received.put_nowait, item)
            except RuntimeError:  # the loop was closed in the middle
                turn.drop()

        turn = Turn(work, put, loop)
        self._submit(turn)
        try:
            while not isinstance(item := await received.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            turn.drop()

    def cancel(self) -> None:
        """Cancel the turn that is being answered and those that wait."""
        with self._lock:
            turns = self._all()
        for turn in turns:
            turn.cancel.set()

    def close(self, free: Callable[[], object]) -> None:
        """End every turn with an error, and take no more; then `free`, and wait until the thread is gone.

        It is not waited for while the app's own code runs in it, nor by that code itself.
        """
        inside = self._is_inside()
        with self._lock:
            self._closed = True
            turns, running, thread = self._all(), self._running, self._thread
            self._waiting.clear()
        for turn in turns:
            turn.end(closed_error())
            turn.cancel.set()
        free()
        if thread is not None and not inside and not (running is not None and running.in_callback):
            thread.join(_LEAVE_S)

    def _all(self) -> list[AnyTurn]:
        return [*([] if self._running is None else [self._running]), *self._waiting]

    def _is_inside(self) -> bool:
        """Whether this code was called by a turn of this queue that is still going on, whatever thread it is on."""
        return any(turn is self._running and not turn.ended for turn in _inside.get())

    def _submit(self, turn: Turn[Item]) -> None:
        self.check()
        with self._lock:
            if self._closed:
                raise closed_error()
            self._waiting.append(turn)
            if self._thread is None:
                self._thread = threading.Thread(target=self._answer, name=self._name, daemon=True)
                self._thread.start()

    def _answer(self) -> None:
        while (turn := self._next()) is not None:
            turn.context.run(turn.play)

    def _next(self) -> AnyTurn | None:
        with self._lock:
            self._running = self._waiting.popleft() if self._waiting else None
            if self._running is None:
                self._thread = None
            return self._running


def closed_error() -> DecodingError:
    """The error of a turn that a close met, and of one that is asked for afterwards."""
    return DecodingError("the assistant was closed", "Open another one; what was said can be saved and loaded.")


def _received(received: queue.SimpleQueue[Item | _End]) -> Item | _End:
    while True:
        try:
            return received.get(timeout=WAIT_SLICE_S)
        except queue.Empty:
            continue
