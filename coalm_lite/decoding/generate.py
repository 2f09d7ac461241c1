"""One answer from an engine: prefill, then a token at a time, under a grammar where one is given.

The grammar is asked about the sampled token alone; the whole vocabulary is masked only when that one is refused. Text
comes out in whole characters. Drafts and forced text are not covered yet: every token is sampled.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from coalm_lite.decoding.sampling import Sampler
from coalm_lite.runtime.base import Cancel, Cancelled, Constraint, Engine, Prefill
from coalm_lite.types import Sampling, StopReason, Timings


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the text, never empty and never half a character."""

    text: str


@dataclass(frozen=True, slots=True)
class Generated:
    """The end of an answer. `text` is all pieces together; `tokens` are without the end token.

    `timings.ttft_s` is 0 when it was cancelled before its first token.
    `refusals` counts the sampled tokens that the grammar refused, each the price of one mask.
    """

    text: str
    reason: StopReason
    tokens: tuple[int, ...]
    refusals: int
    timings: Timings


def generate(
    engine: Engine, prompt_tokens: Sequence[int], sampling: Sampling, gbnf: str | None, cancel: Cancel
) -> Generator[Piece | Generated, None, None]:
    """Yields the answer's pieces as they come, and one `Generated` last.

    `reason` is "stop" at an end token or where the grammar leaves nothing else, "length" at `max_tokens`, "cancelled".
    Raises ContextFullError when the prompt does not fit, or when the answer meets the context's end: what was yielded
    until then stands. Bytes that are no UTF-8 come out as U+FFFD.
    """
    answer = _Answer(engine, list(prompt_tokens), sampling)
    constraint = engine.constraint(gbnf) if gbnf is not None else None
    try:
        yield from answer.pieces(constraint, cancel)
    finally:
        if constraint is not None:
            constraint.close()
    yield answer.done()


class _Answer:
    """An answer in the making."""

    def __init__(self, engine: Engine, prompt_tokens: list[int], sampling: Sampling) -> None:
        self._engine = engine
        self._sampler = Sampler(sampling)
        self._max_tokens = sampling.max_tokens
        self._prompt_length = len(prompt_tokens)
        self._tokens = prompt_tokens
        self._text: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._reason: StopReason = "stop"
        self._refusals = 0
        self._prefill = Prefill(0, 0)
        self._started = time.perf_counter()
        self._prefilled: float | None = None
        self._first_token: float | None = None

    def pieces(self, constraint: Constraint | None, cancel: Cancel) -> Iterator[Piece]:
        """The text as it comes; afterwards `done` has the rest."""
        try:
            self._prefill = self._engine.prefill(self._tokens, cancel)
            self._prefilled = time.perf_counter()
            for token in self._sampled(constraint, cancel):
                yield from self._piece(self._engine.token_bytes(token))
        except Cancelled:
            self._reason = "cancelled"
        yield from self._piece(b"", final=True)

    def _sampled(self, constraint: Constraint | None, cancel: Cancel) -> Iterator[int]:
        """The answer's tokens, each before it is computed."""
        for count in range(1, self._max_tokens + 1):
            token = self._choose(constraint)
            if self._first_token is None:
                self._first_token = time.perf_counter()
            if self._engine.is_end(token):
                return
            self._tokens.append(token)
            yield token
            if constraint is not None:
                constraint.accept(token)
                if constraint.finished():
                    return
            if count < self._max_tokens:
                self._engine.extend([token], cancel)
        self._reason = "length"

    def _choose(self, constraint: Constraint | None) -> int:
        logits = self._engine.logits()
        token = self._sampler.choose(logits, self._tokens)
        if constraint is None or constraint.allows(token):
            return token
        self._refusals += 1
        return self._sampler.choose(constraint.mask(logits), self._tokens)

    def _piece(self, data: bytes, final: bool = False) -> Iterator[Piece]:
        text = self._decoder.decode(data, final)
        if text:
            self._text.append(text)
            yield Piece(text)

    def done(self) -> Generated:
        """What came of it, with its cost so far."""
        now = time.perf_counter()
        prefilled = now if self._prefilled is None else self._prefilled
        generated = tuple(self._tokens[self._prompt_length :])
        timings = Timings(
            prompt_tokens=self._prompt_length,
            reused_tokens=self._prefill.reused_tokens,
            generated_tokens=len(generated),
            ttft_s=0.0 if self._first_token is None else self._first_token - self._started,
            prefill_s=prefilled - self._started,
            decode_s=now - prefilled,
            total_s=now - self._started,
            steps=1,
        )
        return Generated("".join(self._text), self._reason, generated, self._refusals, timings)
