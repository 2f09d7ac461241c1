"""A door that one thread at a time passes: engines are not thread-safe, and two threads inside end the process."""

from __future__ import annotations

import threading
from types import TracebackType

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
