"""How long to wait before the next try, and how often to try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from coalm_lite.hub.refusals import TemporaryError, UnreachableError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Waits:
    """Tries without progress before giving up, and the pauses between them.

    A pause doubles each time and is drawn from its upper half, so that many who were refused together do not come back
    together. A server's own wish goes first, up to `longest_asked_s`: the Hub counts in windows of five minutes.
    """

    tries: int = 6
    first_s: float = 0.5
    longest_s: float = 30.0
    longest_asked_s: float = 300.0

    def pause_s(self, failures: int, asked_s: float | None) -> float:
        """The pause after so many failures in a row."""
        if asked_s is not None:
            return min(asked_s, self.longest_asked_s)
        return min(self.longest_s, self.first_s * 2.0 ** max(0, failures - 1)) * random.uniform(0.5, 1.0)


class Patience:
    """Decides, for bytes that come by several requests, how long to wait after one that failed, or to give up.

    Only a request that brought a byte which was never there before counts as progress.
    """

    def __init__(self, waits: Waits, position: int) -> None:
        self._waits = waits
        self._furthest = position
        self._failures = 0

    def pause_s(self, error: TemporaryError, position: int) -> float:
        """The pause before the next request, now that all bytes before `position` came; or raises `error`."""
        self._failures = 0 if position > self._furthest else self._failures + 1
        self._furthest = max(self._furthest, position)
        if self._failures >= self._waits.tries:
            raise error
        return self._waits.pause_s(self._failures, error.retry_after_s)


def wait_words(error: TemporaryError, pause_s: float) -> str:
    """What a user reads meanwhile."""
    return f"{error.message}; again in {pause_s:.0f} s"


def patiently(ask: Callable[[], Answer], waits: Waits, tell: Callable[[str], None]) -> Answer:
    """What `ask` returns, asked again while a server is busy; each wait is told.

    When nobody answers at all, it is asked only once more: a user without a network should soon read so.
    """
    for failures in range(1, waits.tries):
        try:
            return ask()
        except TemporaryError as error:
            if isinstance(error, UnreachableError) and failures > 1:
                raise
            pause_s = waits.pause_s(failures, error.retry_after_s)
            tell(wait_words(error, pause_s))
            time.sleep(pause_s)
    return ask()
