"""What a benchmark is to the runner: items, and for each a small conversation that asks for answers and scores them.

A suite's `play` is a generator: it yields an `Ask`, is sent the `Answer`, may ask again, and returns the `Outcome`. So
a suite knows nothing of engines, batches or files, and the runner knows nothing of a benchmark's rules.

A score is a `Share`, part of whole: 1 of 1 for a pass, 3 of 4 for slots. A metric over many units is the sum of parts
over the sum of wholes, within each stratum; strata are averaged by the metric's weights (BFCL's overall), or pooled.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from coalm_lite.types import Message, ToolSpec

DEFAULT_ANSWER_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Ask:
    """What the model is to write: the next assistant message of a conversation, in a dialect's form."""

    dialect: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    max_tokens: int = DEFAULT_ANSWER_TOKENS


@dataclass(frozen=True, slots=True)
class Answer:
    """What it wrote. `cut`: it met `max_tokens`. `error`: why nothing was written (no room for the prompt), or ""."""

    text: str
    cut: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole; 1 of 1 is a pass, 0 of 1 a failure. A whole of 0 counts for nothing."""

    part: float
    whole: float = 1.0


PASS, FAIL = Share(1.0), Share(0.0)


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that is scored: an item, or a turn of one. `id` is unique in its suite; scores go by metric name."""

    id: str
    stratum: str
    scores: Mapping[str, Share]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an item: its scored units, and words for a person on what was wrong, "" if nothing."""

    units: tuple[Unit, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item. `cluster`: what it shares with others (a dialogue), else its own id; `content`: the suite's own."""

    id: str
    stratum: str
    cluster: str
    content: Any  # each suite's own frozen value


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a suite, in 0 to 1, where more is better.

    `weights`: how much each stratum's share counts (they sum to 1); empty pools all units alike. `pass_fail`: each unit
    is 0 or 1 of 1, so that McNemar's test applies. `headline`: the verdict rests on it; others are shown beside.
    """

    name: str
    title: str
    pass_fail: bool = True
    weights: Mapping[str, float] = field(default_factory=dict)
    headline: bool = False


Play: TypeAlias = Generator[Ask, Answer, Outcome]


class Suite(Protocol):
    """A benchmark that is opened: its items are read."""

    @property
    def name(self) -> str:
        """As on the command line: "bfcl:non_live"."""
        ...

    @property
    def dialects(self) -> tuple[str, ...]:
        """The forms it can be asked in; the first is the default."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Its figures, the headline ones first."""
        ...

    @property
    def items(self) -> tuple[Item, ...]:
        """All its items, in an order in which neighbours share the longest beginnings of prompts."""
        ...

    def play(self, item: Item, dialect: str) -> Play:
        """Ask for one item's answers and score them. Never raises for what a model wrote."""
        ...
