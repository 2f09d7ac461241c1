"""How fast an engine is here: first token, prefill, decoding, and what a grammar adds to a token that it leaves free.

The answer is a given text, to which the sampler is steered after it has chosen as always, so that a model's own words
do not matter and both sides decode the same tokens. Sides are measured in turn, within one process.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.guide import TextGrammar
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.grammar import compile_schema
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.types import JsonObject, Sampling, Segment

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

_WORDS = "There is a quiet hotel near the river with parking for every guest and a small garden behind it. "
_STRING: JsonObject = {"type": "string"}


class Steered(Sampler):
    """Chooses as always, and then says the next token of `answer` after a prompt of `prompt_length` tokens."""

    def __init__(self, answer: Sequence[int], prompt_length: int) -> None:
        super().__init__(Sampling())
        self._answer = answer
        self._prompt_length = prompt_length

    def choose(self, logits: Logits, recent_tokens: Sequence[int]) -> int:
        """The next token of the answer; the sampled one behind its end."""
        place = len(recent_tokens) - self._prompt_length
        sampled = super().choose(logits, recent_tokens)
        return self._answer[place] if place < len(self._answer) else sampled


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of `n` measurements, and the lowest and highest."""

    median: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured; `constrained_overhead` is the share that a grammar adds to the time of an unforced token."""

    prompt_tokens: int
    answer_tokens: int
    ttft_s: Figure
    prefill_tokens_per_s: Figure
    decode_tokens_per_s: Figure
    constrained_overhead: Figure


def measure(engine: Engine, prompt: Sequence[int], answer_tokens: int, rounds: int) -> Speed:
    """The speed with this prompt, its KV cache emptied before each round; the first round only warms up."""
    said = engine.tokenize((Segment('"' + _WORDS * (answer_tokens // 8 + 1)),))[:answer_tokens]
    cold: list[Generated] = []
    sides: dict[str, list[float]] = {"free": [], "held": []}
    for number in range(rounds + 1):
        engine.prefill([(prompt[0] + 1) % engine.info.vocabulary_size], Cancel())  # another beginning: all is new
        cold.append(_answered(engine, prompt, said, None))
        for side in ("free", "held") if number % 2 else ("held", "free"):
            grammar = compile_schema(_STRING) if side == "held" else None
            sides[side].append(_answered(engine, prompt, said, grammar).timings.decode_s)
    timings = [done.timings for done in cold[1:]]
    return Speed(
        prompt_tokens=len(prompt),
        answer_tokens=len(said),
        ttft_s=_figure([each.ttft_s for each in timings]),
        prefill_tokens_per_s=_figure([len(prompt) / each.prefill_s for each in timings]),
        decode_tokens_per_s=_figure([len(said) / seconds for seconds in sides["free"][1:]]),
        constrained_overhead=_figure(
            [held / free - 1 for held, free in zip(sides["held"][1:], sides["free"][1:], strict=True)]
        ),
    )


def _answered(engine: Engine, prompt: Sequence[int], said: Sequence[int], grammar: TextGrammar | None) -> Generated:
    sampling, sampler = Sampling(max_tokens=len(said)), Steered(said, len(prompt))
    *_, end = answer(engine, Request(prompt, sampling, grammar, drafts=False, sampler=sampler))
    assert isinstance(end, Generated)
    return end


def _figure(values: Sequence[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values), len(values))
