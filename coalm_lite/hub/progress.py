"""How far a download or a conversion is: what is done, the speed of the last seconds, the time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["hashing", "fetching", "waiting", "converting"]
WINDOW_S = 5.0
INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """A download or a conversion at a moment.

    hashing: reading what an earlier pull left, `done_bytes` of it so far. waiting: `note` says for what.
    `seconds_left` is None while there is no speed to tell it from.
    """

    done_bytes: int
    total_bytes: int
    bytes_per_s: float = 0.0
    seconds_left: float | None = None
    stage: Stage = "fetching"
    note: str = ""


class Meter:
    """Counts bytes and reports at most ten times a second, and at each stage's beginning and end."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._stage: Stage = "fetching"
        self._done = 0
        self._total = 0
        self._reported_s = 0.0
        self._recent: deque[tuple[float, int]] = deque()

    def begin(self, stage: Stage, done_bytes: int, total_bytes: int) -> None:
        """Start to count from `done_bytes`."""
        self._stage, self._done, self._total = stage, done_bytes, total_bytes
        self._recent.clear()
        self._tell(time.monotonic())

    def add(self, count: int) -> None:
        """Count so many more bytes."""
        self._done += count
        now_s = time.monotonic()
        if now_s - self._reported_s >= INTERVAL_S or self._done >= self._total:
            self._tell(now_s)

    def wait(self, note: str) -> None:
        """Report why nothing comes for now."""
        self._report(Progress(self._done, self._total, stage="waiting", note=note))

    def _tell(self, now_s: float) -> None:
        self._reported_s = now_s
        self._recent.append((now_s, self._done))
        while now_s - self._recent[0][0] > WINDOW_S:
            self._recent.popleft()
        past_s, past = self._recent[0]
        speed = (self._done - past) / (now_s - past_s) if now_s > past_s else 0.0
        left_s = (self._total - self._done) / speed if speed else None
        self._report(Progress(self._done, self._total, speed, left_s, self._stage))
