"""From values to places on a plot: linear and logarithmic scales, and round numbers for their ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` lie from `start` to `end` on the plot; values beyond are held at its edge."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        value = min(max(value, self.low), self.high)
        part = (self._measured(value) - self._measured(self.low)) / (
            self._measured(self.high) - self._measured(self.low)
        )
        return self.start + part * (self.end - self.start)

    def _measured(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round values within the scale."""
        return _powers(self.low, self.high) if self.logarithmic else _steps(self.low, self.high)


def linear(values: Sequence[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """A scale with all the values on it, and a margin around them."""
    low, high = min(values), max(values)
    room = (high - low) * margin or max(abs(high) * margin, 0.5)
    return Scale(low - room, high + room, start, end)


def logarithmic(values: Sequence[float], start: float, end: float, margin: float = 1.25) -> Scale:
    """A logarithmic scale with all the values, which are above 0, and a factor of margin around them."""
    return Scale(min(values) / margin, max(values) * margin, start, end, logarithmic=True)


def _steps(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten, at most about `most` of them."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(number * step, 10) for number in range(first, last + 1))


def _powers(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten, with their double and fivefold where the powers alone are too few; steps where all are."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        found = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        ticks = tuple(tick for tick in found if low <= tick <= high)
        if len(ticks) >= 3:
            return ticks
    return _steps(low, high, most=4)
