"""One answer in the making, independent of how its tokens are computed: what to compute next, and what logits say.

`step` says which tokens the sequence must hold next, guesses included; `take` reads the logits behind them: it samples,
asks the grammar, enters forced text and keeps guesses that are what was sampled. Whoever computes (`scheduler.py`) may
do it in one batch with other answers. Sampling draws the same random numbers with guesses as without.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coalm_lite.decoding.ending import Limit
from coalm_lite.decoding.forced import Forced, joints_of
from coalm_lite.decoding.guesses import ForcedText, Guesser, Guesses
from coalm_lite.decoding.guide import Guide
from coalm_lite.decoding.pace import FORCED, Pace
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.decoding.written import Written
from coalm_lite.runtime.base import Engine
from coalm_lite.types import Segment, StopReason

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

_TRIES = 64  # of refused tokens before the whole vocabulary is masked, which costs about as much


@dataclass(frozen=True, slots=True)
class Step:
    """Keep the sequence's first `kept` tokens, append `tokens`, and give the logits behind `wanted` ones of them."""

    kept: int
    tokens: Sequence[int]
    wanted: Sequence[int]


@dataclass(slots=True)
class Counts:
    """What an answer took: choices at which the grammar refused the sampled token, tokens that were forced, and those
    that replaced others so that forced text is cut as in training; guessed tokens, and of each draft how many held.

    `completed` of the last tokens are not the model's: they completed an answer that met its limit.
    """

    refusals: int = 0
    forced: int = 0
    healed: int = 0
    completed: int = 0
    drafted: int = 0
    accepted: list[int] = field(default_factory=list)


class Writer:
    """An answer of at most `max_tokens` to the prompt in `tokens`, which grows by it."""

    def __init__(
        self,
        engine: Engine,
        prompt: Sequence[int],
        sampler: Sampler,
        max_tokens: int,
        guide: Guide | None = None,
        *,
        guesser: Guesser | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Without `guesser` nothing is guessed: for engines that give the logits of one token alone."""
        self.tokens = [*prompt]
        self.reason: StopReason | None = None
        self.counts = Counts()
        self.written = Written(engine.token_bytes)
        self.first_token_at: float | None = None
        self._engine = engine
        self._prompt_length = len(prompt)
        self._sampler = sampler
        self._max_tokens = max_tokens
        self._guide = guide
        self._guesser = guesser
        self._pace = pace
        self._held = 0  # how many of `tokens` the sequence holds as they are
        self._sequence: list[int] = []  # what it holds once the last step was computed, guesses included
        self._wanted: list[int] = []  # the places in it behind which logits come
        self._guesses = Guesses()
        self._forced = ForcedText(lambda text: engine.tokenize((Segment(text),)), joints_of(engine))
        self._tail: tuple[int, ...] = ()
        self._limit = Limit(self.written, max_tokens, lambda text: engine.tokenize((Segment(text),)))
        self._enter_forced()

    @property
    def held(self) -> int:
        """How many of `tokens` the sequence holds as they are."""
        return self._held

    def begin(self, kept: int) -> None:
        """Say that the sequence holds the first `kept` tokens from before."""
        self._held = kept
        self._sequence = self.tokens[:kept]

    def step(self, room: int, answers: int) -> Step:
        """What to compute next, in a batch with at most `room` guesses that goes on `answers` answers."""
        self._held = min(self._held, len(self.tokens) - 1)  # logits are those of a token that is computed
        pending = self.tokens[self._held :]
        self._guesses = self._guess(room, answers)
        tokens, wanted = [*pending, *self._guesses.tokens], self._guesses.wanted(len(pending))
        self._sequence[self._held :] = tokens
        self._wanted = [self._held + place for place in wanted]
        self.counts.drafted += len(self._guesses.tokens)
        return Step(self._held, tokens, wanted)

    def _guess(self, room: int, answers: int) -> Guesses:
        most = min(room, self._max_tokens - len(self.written.tokens) - 1)
        if self._guesser is None or most <= 0:
            return Guesses()
        return self._guesser.guess(self.written, self._guide, self._forced, self._tail, most, answers)

    def take(self, rows: Sequence[Logits]) -> str:
        """Read the logits of the step that was computed; returns the text that is new."""
        row_at = dict(zip(self._wanted, rows, strict=True))
        certain = place = self._wanted[0]
        self._held = place + 1
        while place in row_at:
            self._accept(self._choose(row_at[place]))
            self._keep_guesses()
            if self.reason is not None or self._held < len(self.tokens):
                break
            place = self._held - 1
        self._judge_guesses(certain + 1)
        return self.written.new_text(final=self.reason is not None)

    def stop(self, reason: StopReason) -> str:
        """End the answer as it is; returns the text that was not yet given."""
        self.reason = reason
        return self.written.new_text(final=True)

    def _choose(self, logits: Logits) -> int:
        """Sampled, and asked of the grammar; what it refuses is left out and sampled again, which changes no odds."""
        token = self._sampler.choose(logits, self.tokens)
        if self._guide is None or self._guide.allows(token):
            return token
        self.counts.refusals += 1
        logits = logits.copy()
        for _ in range(min(_TRIES, len(logits) - 1)):
            logits[token] = float("-inf")
            token = self._sampler.choose(logits, self.tokens)
            if self._guide.allows(token):
                return token
        return self._sampler.choose(self._guide.mask(logits), self.tokens)

    def _accept(self, token: int) -> None:
        if self.first_token_at is None:
            self.first_token_at = time.perf_counter()
        self._tail = ()
        if self._engine.is_end(token):
            self.reason = "stop"
            return
        state = None if self._guide is None else self._guide.state
        ending = None if state is None else self._limit.ending_instead(state, token)
        if ending is not None:
            self._complete(ending)
            return
        self.tokens.append(token)
        self.written.append(token)
        if self._guide is not None:
            self._guide.accept(token)
        self._enter_forced()

    def _enter_forced(self) -> None:
        """Add the text that must come, and end the answer where nothing else may."""
        guide = self._guide
        if guide is not None and guide.state is not None:
            forced = self._forced.behind(self.written, guide.state)
            if forced is not None and forced.kept + len(forced.tokens) > self._max_tokens:
                ending = self._limit.ending(guide.state)
                if ending is not None:
                    self._complete(ending)
                    return
            if forced is not None:
                self._enter(forced, guide)
        if guide is not None and guide.finished():
            self.reason = "stop"
        if len(self.written.tokens) >= self._max_tokens and (self._shorten() or self.reason is None):
            self.reason = "length"

    def _enter(self, forced: Forced, guide: Guide) -> None:
        before = len(self.written.data)
        self._tail = forced.tail
        if not forced.tokens:
            return
        self.counts.healed += len(self.written.tokens) - forced.kept
        self.counts.forced += len(forced.tokens)
        self.written.replace(forced.kept, forced.tokens)
        guide.accept_text(self.written.data[before:].decode())
        self.tokens[self._prompt_length + forced.kept :] = forced.tokens
        self._held = min(self._held, self._prompt_length + forced.kept)

    def _complete(self, ending: Forced) -> None:
        """End the answer as its grammar wants it, within the limit that it met."""
        self.counts.completed = len(ending.tokens)
        self.written.replace(ending.kept, ending.tokens)
        self.tokens[self._prompt_length + ending.kept :] = ending.tokens
        self._held = min(self._held, self._prompt_length + ending.kept)
        self.reason = "length"

    def _shorten(self) -> bool:
        """Cut what was forced beyond the limit; returns whether there was any."""
        too_long = len(self.written.tokens) > self._max_tokens
        self.written.shorten(self._max_tokens)
        del self.tokens[self._prompt_length + self._max_tokens :]
        self._held = min(self._held, len(self.tokens))
        return too_long

    def _keep_guesses(self) -> None:
        """Count as held what the sequence has already of the tokens that were decided."""
        end = min(len(self._sequence), len(self.tokens))
        while self._held < end and self._sequence[self._held] == self.tokens[self._held]:
            self._held += 1

    def _judge_guesses(self, first: int) -> None:
        """Count which guesses came true; they stand in the sequence from `first` on. So does one that was not tried."""
        guesses, pace = self._guesses, self._pace
        if pace is None:
            return
        if guesses.not_worth is not None and first < len(self.tokens):
            pace.tried(guesses.not_worth[1], self.tokens[first] == guesses.not_worth[0])
        if not guesses.tokens:
            return
        right = max(0, self._held - first)
        for kind in guesses.kinds[:right]:
            if kind != FORCED:
                pace.tried(kind, True)
        wrong = guesses.kinds[right : right + 1]
        if wrong and wrong[0] != FORCED and self.reason is None:
            pace.tried(wrong[0], False)
        self.counts.accepted.append(right)
