"""Whether the window ever blocks: a timer in its event loop that notes how late it comes, for `--measure-gaps FILE`.

The file is one JSON object, written at the end and every second. `gap_ms` are the times between two ticks of a timer of
TICK_MS; a window that blocks for 50 ms has a gap of at least that. `longest` tells of each how much of it this thread
computed: where that is little, the machine was busy with others. Times of `marks` are seconds since 1970.
"""

from __future__ import annotations

import json
import time
from bisect import insort
from dataclasses import asdict, dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer

TICK_MS = 5
_KEPT = 20
_WRITE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """A time in which the event loop did not turn; `computed_ms` of it this thread worked."""

    ms: float
    computed_ms: float
    at: float
    doing: str


class GapMeter(QObject):
    """Counts ticks; `mark` notes a moment by name, `doing` what a gap is put down to."""

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.doing = "starting"
        self._path = path
        self._counts: dict[int, int] = {}
        self._longest: list[Gap] = []
        self._marks: list[tuple[str, float]] = []
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._written = self._last
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Begin to count: the window is on the screen."""
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer.start(TICK_MS)

    def mark(self, name: str) -> None:
        """Note that this happens now."""
        self._marks.append((name, time.time()))

    def write(self) -> None:
        """Write what was measured so far."""
        report = {
            "tick_ms": TICK_MS,
            "ticks": sum(self._counts.values()),
            "gap_ms_counts": dict(sorted(self._counts.items())),
            "longest": [asdict(gap) for gap in reversed(self._longest)],
            "marks": self._marks,
        }
        self._path.write_text(json.dumps(report), encoding="utf-8")

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        gap = Gap((now - self._last) * 1e3, (cpu - self._last_cpu) * 1e3, time.time(), self.doing)
        self._last, self._last_cpu = now, cpu
        self._counts[round(gap.ms)] = self._counts.get(round(gap.ms), 0) + 1
        if len(self._longest) < _KEPT or gap > self._longest[0]:
            insort(self._longest, gap)
            del self._longest[: len(self._longest) - _KEPT]
        if now - self._written > _WRITE_EVERY_S:
            self._written = now
            self.write()
