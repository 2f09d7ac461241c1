"""An engine of this process for all its threads: it works on a thread of its own, with several answers in a batch.

A native abort still ends the program; `IsolatedDesk` is the desk that outlives one.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Generator, Sequence

from coalm_lite.app.answering import events_of
from coalm_lite.app.desks import DeskState
from coalm_lite.app.engine_thread import EngineThread
from coalm_lite.decoding.prefix import Outcome
from coalm_lite.decoding.requests import Generated, Piece, Request
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import ModelInfo, Prompt


class SharedDesk(ClosedAtExit):
    """An `AppDesk` on `engine`, which becomes its own: nothing else may use it, and it is closed with the desk.

    `answers` at once, or as many as the engine has sequences; the others wait. `prefixes`: where tool blocks' computed
    states are kept, if at all. A desk that nobody holds any more, and one that is open at the program's end, is closed.
    """

    def __init__(self, engine: Engine, prefixes: SnapshotFolder | None = None, answers: int | None = None) -> None:
        self._info = engine.info
        self._thread = EngineThread(engine, prefixes, answers)
        # At the program's end the thread must have ended before engines and grammars are freed, which their finalizers
        # do, the last made first: functions of atexit that were registered after those run before all of them.
        self._close = weakref.finalize(self, _close, self._thread)
        self._close.atexit = False
        atexit.register(self._thread.close)

    @property
    def info(self) -> ModelInfo:
        """The engine's."""
        return self._info

    @property
    def state(self) -> DeskState:
        """How busy it is, and what it did."""
        return self._thread.state

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The engine's tokens, without waiting for its batch where it is made for that."""
        return self._thread.tokenize(prompt)

    def answer(self, request: Request) -> Generator[Piece | Generated, None, None]:
        """The answer's events, asked for at the first `next`."""
        yield from events_of(request, self._thread.submit)

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        """Restored, saved or computed between answers; "off" while some are in work, and without a folder.

        Computing it gives way to a request that comes, which goes on from what is there.
        """
        return self._thread.ready(block, cancel)

    def close(self) -> None:
        """End the answers in work, and free the engine."""
        self._close()
        self._thread.close()  # for a thread that comes while another closes: it waits too


def _close(thread: EngineThread) -> None:
    atexit.unregister(thread.close)
    thread.close()
