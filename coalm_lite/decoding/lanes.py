"""The engine as the scheduler sees it: lanes that hold a sequence each, whether it has one or many."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from coalm_lite.runtime.base import Cancel, Engine, ManySequences, Stretch, common_prefix_length

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

Rows = Sequence["Logits"]
_LAST_TOKENS = 2  # of a prompt, which are computed whatever is held


class Lanes(Protocol):
    """Sequences by number, and one batch for all of them."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def batch_tokens(self) -> int:
        """How many tokens a batch takes."""
        ...

    @property
    def verifies(self) -> bool:
        """Whether a batch gives the logits of many of its tokens, and wrong ones can be taken back."""
        ...

    def held(self, lane: int) -> Sequence[int]:
        """What a lane's sequence holds, as far as is known."""
        ...

    def free_tokens(self) -> int:
        """The room left in all lanes together."""
        ...

    def reused(self, lane: int) -> int:
        """How many tokens of the lane's prompt were there before; known once something was computed."""
        ...

    def begin(self, lane: int, tokens: Sequence[int]) -> int:
        """Make ready for a prompt: keep what can be kept of any lane. Returns how much of it is there."""
        ...

    def cut(self, lane: int, count: int) -> int:
        """Keep `count` tokens; returns how many are left."""
        ...

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> Sequence[Rows]:
        """Append the stretches in one batch; the logits of each."""
        ...


def lanes_of(engine: Engine) -> Lanes:
    """The lanes of an engine."""
    return ManyLanes(engine) if isinstance(engine, ManySequences) else OneLane(engine)


class ManyLanes:
    """The lanes of an engine with many sequences (or one) in a common room."""

    def __init__(self, engine: ManySequences) -> None:
        self._engine = engine
        self.count = engine.sequences
        self.batch_tokens = engine.batch_tokens
        self.verifies = engine.can_cut
        self._reused = [0] * self.count

    def held(self, lane: int) -> Sequence[int]:
        """What the lane's sequence holds."""
        return self._engine.held(lane)

    def free_tokens(self) -> int:
        """The room left in the common cache."""
        return self._engine.free_tokens()

    def cut(self, lane: int, count: int) -> int:
        """Keep `count` tokens; returns how many are left."""
        return self._engine.cut(lane, count)

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> Sequence[Rows]:
        """Append the stretches in one batch; the logits of each."""
        return [list(rows) for rows in self._engine.compute(stretches, cancel)]

    def reused(self, lane: int) -> int:
        """How many tokens of the prompt were there before."""
        return self._reused[lane]

    def begin(self, lane: int, tokens: Sequence[int]) -> int:
        """Keep or share the longest common beginning with what any lane holds; two tokens stay to compute.

        One alone is computed by other code than several, with other last digits: what was held would change an answer.

        Of equal ones the first lane's is shared, so that what was computed twice is soon held once: without flash
        attention a batch's cost grows with the highest cell that is in use.
        """
        lengths = [common_prefix_length(self.held(other), tokens[:-_LAST_TOKENS]) for other in range(self.count)]
        best = max(range(self.count), key=lambda other: (lengths[other], -other))
        if best != lane and self.verifies:
            self._engine.share(best, lane, lengths[best])
            self._reused[lane] = lengths[best]
        else:
            self._reused[lane] = self.cut(lane, lengths[lane])
        return self._reused[lane]


class OneLane:
    """The one lane of an engine that holds one sequence; logits are those after the last token."""

    count = 1
    batch_tokens = sys.maxsize
    verifies = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: list[int] = []
        self._behind = False  # whether the engine must be told the whole sequence
        self._reused = 0
        self._first = False

    def held(self, lane: int) -> Sequence[int]:
        """What was computed through this object."""
        return self._held

    def free_tokens(self) -> int:
        """The context's rest."""
        return self._engine.info.context_tokens - len(self._held)

    def reused(self, lane: int) -> int:
        """How many tokens of the prompt the engine had."""
        return self._reused

    def begin(self, lane: int, tokens: Sequence[int]) -> int:
        """Leave it to the engine what is kept."""
        self._held, self._behind, self._first = [], True, True
        return 0

    def cut(self, lane: int, count: int) -> int:
        """Keep `count` tokens; the engine is told with the next batch."""
        if count < len(self._held):
            del self._held[count:]
            self._behind = True
        return len(self._held)

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> Sequence[Rows]:
        """One stretch, with the logits of its last token."""
        (stretch,) = stretches
        held = [*self._held, *stretch.tokens]
        if self._behind:
            prefill = self._engine.prefill(held, cancel)
            self._reused = prefill.reused_tokens if self._first else self._reused
        else:
            self._engine.extend(stretch.tokens, cancel)
        self._held, self._behind, self._first = held, False, False
        return [[self._engine.logits()] if stretch.wanted else []]
