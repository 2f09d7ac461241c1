"""The line of requests: how many may be in work or wait, who is, and how they end when the server stops.

All of it belongs to the event loop's thread; the work itself is done on the pool's threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from coalm_lite.app.server.refusal import Refusal
from coalm_lite.runtime.base import Cancel

_RETRY_S = 1


class Line:
    """At most `answers` in work and `waiting` behind them, each with a thread of `pool`."""

    def __init__(self, answers: int, waiting: int) -> None:
        self._most = answers + waiting
        self._cancels: set[Cancel] = set()
        self.stopping = False
        self.refused = 0
        self.pool = ThreadPoolExecutor(self._most, thread_name_prefix="coalm-lite-answer")

    @property
    def length(self) -> int:
        """How many are in work or wait."""
        return len(self._cancels)

    @contextmanager
    def place(self) -> Iterator[Cancel]:
        """A place in the line, and what cancels its work; Refusal 429 where there is none, 503 at the server's end."""
        if self.stopping:
            raise Refusal(503, "the server is stopping", code="stopping", retry_s=_RETRY_S)
        if len(self._cancels) >= self._most:
            self.refused += 1
            problem = f"{len(self._cancels)} requests are in work or wait, and no more may"
            raise Refusal(429, problem, code="queue_full", retry_s=_RETRY_S)
        cancel = Cancel()
        self._cancels.add(cancel)
        try:
            yield cancel
        finally:
            cancel.set()
            self._cancels.discard(cancel)

    def stop(self) -> None:
        """Take no more."""
        self.stopping = True

    def cancel_all(self) -> None:
        """End what is in work and what waits."""
        self.stop()
        for cancel in [*self._cancels]:
            cancel.set()

    def close(self) -> None:
        """Cancel all, and let the threads end."""
        self.cancel_all()
        self.pool.shutdown(wait=False, cancel_futures=True)
