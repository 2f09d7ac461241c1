"""A door that one thread at a time passes: engines are not thread-safe, and two threads inside end the process.

Beside it, what everything behind such a door is: closed at the end of a `with` block.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from coalm_lite.errors import DecodingError


class OneThread:
    """A context manager around every native call; raises DecodingError instead of waiting, and once closed."""

    __slots__ = ("_lock", "closed")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.closed = False

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise DecodingError(
                "two threads use one engine at the same time",
                "Finish or cancel the running turn first, or load one engine per thread.",
            )
        if self.closed:
            self._lock.release()
            raise DecodingError("the engine is closed", "Load the model again.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


class ClosedAtExit(ABC):
    """Something with a `close` that also works as a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Free everything; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
