"""How long a draft may be: from what the machine's batches cost and how often such guesses came true, both measured.

A token more in a batch is worth it while its chance, divided by its cost, is above the answer tokens a second that the
batch gives without it.
"""

from __future__ import annotations

from collections import defaultdict
from weakref import WeakKeyDictionary

_FORGET = 0.95  # what a batch's measurement weighs after the next one
_PRIOR_SLOPE = 0.4  # of a token more against a batch of one, until measured
_PRIOR_WEIGHT = 2.0
_PRIOR_TOKENS = ((1.0, 1.0), (9.0, 1.0 + 8 * _PRIOR_SLOPE))  # batches of one and nine tokens, in units of one token
_LARGEST = 64  # tokens; larger batches are prompts
_PRIOR_CHANCES = {"tail": 0.8, "recorded": 0.9, "lookup 1": 0.3, "lookup 2": 0.5, "lookup 3": 0.6, "lookup 4": 0.7}
_PRIOR_TRIES = 4.0


class BatchCost:
    """Seconds of a batch by its tokens: a line through what was measured, the latest counting most."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def measured(self, tokens: int, seconds: float) -> None:
        """Take a batch's time."""
        if not 0 < tokens <= _LARGEST:
            return
        if not self._weight:
            for x, y in _PRIOR_TOKENS:
                self._add(x, y * seconds / (1 + (tokens - 1) * _PRIOR_SLOPE), _PRIOR_WEIGHT)
        self._add(tokens, seconds, 1.0)

    def _add(self, x: float, y: float, weight: float) -> None:
        self._weight = self._weight * _FORGET + weight
        self._x = self._x * _FORGET + weight * x
        self._y = self._y * _FORGET + weight * y
        self._xx = self._xx * _FORGET + weight * x * x
        self._xy = self._xy * _FORGET + weight * x * y

    @property
    def line(self) -> tuple[float, float]:
        """Seconds of a batch of no tokens, and of each token; both at least a little above 0."""
        if not self._weight:
            return 1 - _PRIOR_SLOPE, _PRIOR_SLOPE
        spread = self._weight * self._xx - self._x * self._x
        mean = self._y / self._weight
        slope = (self._weight * self._xy - self._x * self._y) / spread if spread > 1e-9 * self._weight**2 else mean
        slope = min(max(slope, mean * 1e-3), self._y / self._x)  # a batch of none costs nothing at least
        return mean - slope * self._x / self._weight, slope


class Pace:
    """What one engine's batches cost and how its drafts fared."""

    def __init__(self) -> None:
        self.cost = BatchCost()
        self._tried: defaultdict[str, float] = defaultdict(float)
        self._held: defaultdict[str, float] = defaultdict(float)

    def chance(self, kind: str) -> float:
        """How often a token of such a draft is right when those before it are."""
        prior = _PRIOR_CHANCES.get(kind, 0.5)
        return (self._held[kind] + prior * _PRIOR_TRIES) / (self._tried[kind] + _PRIOR_TRIES)

    def tried(self, kind: str, right: int, wrong: bool) -> None:
        """Count a draft of which `right` tokens came true and, if `wrong`, one did not."""
        self._tried[kind] = self._tried[kind] * _FORGET + right + wrong
        self._held[kind] = self._held[kind] * _FORGET + right

    def length(self, kind: str, most: int, batch_tokens: int, answers: int) -> int:
        """How many tokens of such a draft are worth it beside `batch_tokens` others that go on `answers` answers."""
        fixed, each = self.cost.line
        chance = self.chance(kind)
        gained, cost, likely = float(answers), fixed + each * batch_tokens, 1.0
        for count in range(most):
            likely *= chance
            if likely * cost <= each * gained:
                return count
            gained, cost = gained + likely, cost + each
        return most


_PACES: WeakKeyDictionary[object, Pace] = WeakKeyDictionary()


def pace_of(engine: object) -> Pace:
    """What was measured with `engine` so far."""
    return _PACES.setdefault(engine, Pace())
