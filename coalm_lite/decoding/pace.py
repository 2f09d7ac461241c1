"""How long a draft may be: from what the machine's batches cost and how often such guesses came true, both measured.

A batch costs something fixed and something for each token. A guess that comes true saves a step, the fixed cost; one
that does not has cost its tokens. Text that the grammar forces behind a guess is as certain as the guess, and must be
in the batch for the guess to save a step: the place where the next token is sampled lies behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True)
class BatchParts:
    """Seconds: of any batch, of each token in it, and of each place whose logits are wanted."""

    fixed: float
    token: float
    row: float


_FORGET = 0.95  # what a batch's measurement weighs after the next one
_PRIOR_SLOPE = 0.4  # of a token more against a batch of one, until measured
_PRIOR_WEIGHT = 1.0
_ROW = 0.25  # what a place whose logits are wanted costs, in tokens: the output matrix beside the layers
_LARGEST = 64  # tokens; larger batches are prompts
_PRIOR_CHANCES = {
    "tail": 0.8, "recorded": 0.98, "beginning": 0.7, "inside a word": 0.9,
    "lookup 1 behind a word": 0.4, "lookup 2 behind a word": 0.4, "lookup 3 behind a word": 0.5,
    "lookup 4 behind a word": 0.6, "lookup 1 behind a mark": 0.1, "lookup 2 behind a mark": 0.1,
    "lookup 3 behind a mark": 0.2, "lookup 4 behind a mark": 0.5,
    "habit 1": 0.2, "habit 2": 0.3, "habit 3": 0.4, "habit 4": 0.5,
}  # fmt: skip
_PRIOR_TRIES = 4.0
FORCED = ""  # the kind of a token that follows from those before it


class BatchCost:
    """Seconds of a batch by its tokens and wanted places: a line, the smaller and the later batches counting more."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def measured(self, tokens: int, rows: int, seconds: float) -> None:
        """Take the time of a batch with logits at `rows` places."""
        if not 0 < tokens <= _LARGEST:
            return
        size = tokens + _ROW * rows
        if not self._weight:
            unit = seconds / (1 + (size - 1 - _ROW) * _PRIOR_SLOPE)
            for x in (1.0, 9.0):
                self._add(x + _ROW, unit * (1 + (x - 1) * _PRIOR_SLOPE), _PRIOR_WEIGHT)
        self._add(size, seconds, 1.0 / tokens)

    def _add(self, x: float, y: float, weight: float) -> None:
        self._weight = self._weight * _FORGET + weight
        self._x = self._x * _FORGET + weight * x
        self._y = self._y * _FORGET + weight * y
        self._xx = self._xx * _FORGET + weight * x * x
        self._xy = self._xy * _FORGET + weight * x * y

    @property
    def parts(self) -> BatchParts:
        """The parts of the cost, all a little above 0 at least."""
        if not self._weight:
            return BatchParts(1 - _PRIOR_SLOPE, _PRIOR_SLOPE, _ROW * _PRIOR_SLOPE)
        spread = self._weight * self._xx - self._x * self._x
        mean = self._y / self._weight
        slope = (self._weight * self._xy - self._x * self._y) / spread if spread > 1e-9 * self._weight**2 else mean
        slope = min(max(slope, mean * 1e-3), self._y / self._x)  # a batch of none costs nothing at least
        return BatchParts(mean - slope * self._x / self._weight, slope, _ROW * slope)


class GivenCost(BatchCost):
    """A cost that is said and not measured: for runs that must not depend on time."""

    def __init__(self, parts: BatchParts) -> None:
        super().__init__()
        self._parts = parts

    def measured(self, tokens: int, rows: int, seconds: float) -> None:
        """Forget it."""

    @property
    def parts(self) -> BatchParts:
        """What was said."""
        return self._parts


class Pace:
    """What one engine's batches cost and how its drafts fared."""

    def __init__(self, cost: BatchCost | None = None) -> None:
        self.cost = cost or BatchCost()
        self._tried: defaultdict[str, float] = defaultdict(float)
        self._held: defaultdict[str, float] = defaultdict(float)

    def chance(self, kind: str) -> float:
        """How often a token of such a draft is right when those before it are."""
        prior = _PRIOR_CHANCES.get(kind, 0.5)
        return (self._held[kind] + prior * _PRIOR_TRIES) / (self._tried[kind] + _PRIOR_TRIES)

    def tried(self, kind: str, right: bool) -> None:
        """Count a guessed token whose predecessors were right."""
        self._tried[kind] = self._tried[kind] * _FORGET + 1
        self._held[kind] = self._held[kind] * _FORGET + right

    def pays(self, likely: float, answers: int) -> bool:
        """Whether a guess that is right so likely saves more than it costs, nothing being forced behind it."""
        parts = self.cost.parts
        return likely * parts.fixed / answers > (1 - likely) * (parts.token + parts.row)

    def worth(self, kinds: Sequence[str], answers: int) -> int:
        """How many of the guessed tokens, by their kinds, are worth it in a batch that goes on `answers` answers.

        `FORCED` tokens belong to the guess before them.
        """
        parts = self.cost.parts
        likely, gain, best, count = 1.0, 0.0, 0.0, 0
        for place, kind in enumerate(kinds):
            if kind != FORCED:
                likely *= self.chance(kind)
                gain += likely * parts.fixed / answers - (1 - likely) * parts.row
            gain -= (1 - likely) * parts.token
            if gain > best and (place + 1 == len(kinds) or kinds[place + 1] != FORCED):
                best, count = gain, place + 1
        return count


_PACES: WeakKeyDictionary[object, Pace] = WeakKeyDictionary()


def pace_of(engine: object) -> Pace:
    """What was measured with `engine` so far."""
    return _PACES.setdefault(engine, Pace())
