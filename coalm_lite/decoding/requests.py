"""What is asked of a scheduler or a desk, and what it says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from coalm_lite.decoding.guide import TextGrammar
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.decoding.writer import Counts
from coalm_lite.errors import CoalmError
from coalm_lite.runtime.base import Cancel
from coalm_lite.types import Sampling, StopReason, Timings


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be answered, and how. `recorded`: an answer to the same prompt that this one may agree with.

    `drafts=False` computes token by token what is not forced; None does so where a seed is to draw the same again, as
    guesses hang on the time that things take, and how batches are cut changes the last digits of logits. `sampler`
    replaces the one that `sampling` makes. `pieces=False`: the end is all that matters, and a desk may leave out the
    pieces before it.
    """

    prompt: Sequence[int]
    sampling: Sampling = field(default_factory=Sampling)
    grammar: str | TextGrammar | None = None
    cancel: Cancel = field(default_factory=Cancel)
    drafts: bool | None = None
    recorded: Sequence[int] = ()
    sampler: Sampler | None = None
    pieces: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the text, never empty and never half a character."""

    text: str


@dataclass(frozen=True, slots=True)
class Generated:
    """The end of an answer. `text` is all pieces together; `tokens` are without the end token.

    `timings.ttft_s` is 0 when it was cancelled before its first token.
    `refusals` counts the choices at which the grammar refused the sampled token.
    """

    text: str
    reason: StopReason
    tokens: tuple[int, ...]
    refusals: int
    timings: Timings
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of an answer that met an error; what was written until then stands."""

    error: CoalmError


AnswerEvent: TypeAlias = Piece | Generated | Failed
