"""Many answers from one engine: each step computes one batch with the next tokens of all of them.

A request waits until a sequence and the room for its prompt and its longest answer are free; requests are taken in the
order in which they came, but for those whose prompt's beginning another answer computes just now. What some sequence
holds of a prompt's beginning is shared, not computed. Prompts are computed in pieces beside the answers that are going
on. Engines with one sequence serve one request after the other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coalm_lite.decoding.drafts import Habits, PromptLookup, Recorded, habits_of
from coalm_lite.decoding.guesses import Guesser
from coalm_lite.decoding.guide import guide_for
from coalm_lite.decoding.lanes import Rows, lanes_of
from coalm_lite.decoding.pace import Pace, pace_of
from coalm_lite.decoding.places import Places, Shared, Slot
from coalm_lite.decoding.requests import AnswerEvent, Failed, Generated, Piece, Request
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.decoding.trail import QuickLookup
from coalm_lite.decoding.writer import Writer
from coalm_lite.errors import CoalmError, DecodingError
from coalm_lite.runtime.base import Cancel, Cancelled, Engine, Stretch, check_room
from coalm_lite.types import Timings


@dataclass(slots=True)
class Spent:
    """What a scheduler's batches took; a batch's time is shared out by its tokens. Guesses count as the answers'."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    prompt_s: float = 0.0
    answer_s: float = 0.0
    batches: int = 0

    def add(self, prompt_tokens: int, answer_tokens: int, seconds: float) -> None:
        """Take a batch's cost."""
        share = prompt_tokens / max(1, prompt_tokens + answer_tokens)
        self.prompt_tokens += prompt_tokens
        self.answer_tokens += answer_tokens
        self.prompt_s += seconds * share
        self.answer_s += seconds * (1 - share)
        self.batches += 1


class Scheduler:
    """Serves requests on `engine`. Not thread-safe; a request's `cancel` may be set from other threads."""

    def __init__(
        self, engine: Engine, pace: Pace | None = None, habits: Habits | None = None, most: int | None = None
    ) -> None:
        """`pace` and `habits` replace this engine's own: for runs that must not depend on what was before.

        `most`: how many answers at once; None for all the sequences that the engine has. The other sequences keep what
        was computed for earlier ones.
        """
        self.spent = Spent()
        self.abort = Cancel()  # set from any thread, ends a batch of several answers: for who wants to close at once
        self._engine = engine
        self._lanes = lanes_of(engine)
        self._places = Places(self._lanes, most or self._lanes.count)
        self._slots = self._places.slots
        self._pace = pace or pace_of(engine)
        self._habits = habits or habits_of(engine)
        self._queue: deque[tuple[int, Request, float]] = deque()
        self._started: dict[int, float] = {}
        self._count = 0

    def submit(self, request: Request) -> int:
        """Take a request; returns its number, which comes with its events."""
        self._count += 1
        self._queue.append((self._count, request, time.perf_counter()))
        return self._count

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._queue or self._slots)

    @property
    def waiting(self) -> int:
        """How many requests have not begun."""
        return len(self._queue)

    def close(self) -> None:
        """Drop what is in work and free the grammars."""
        self._queue.clear()
        for slot in [*self._slots]:
            self._leave(slot)

    def run(self) -> Iterator[tuple[int, AnswerEvent]]:
        """The events of all requests until nothing is left to do."""
        try:
            while self.busy:
                yield from self.step()
        finally:
            self.close()

    def step(self) -> Iterator[tuple[int, AnswerEvent]]:
        """Take what fits of the queue, compute one batch, and give the events of it.

        A request's own error is its event; one of the engine that concerns the batch is raised.
        """
        yield from self._admit()
        for slot in [*self._slots]:
            if slot.request.cancel.is_set:
                yield from self._end(slot, slot.writer.stop("cancelled"))
            elif slot.writer.reason is not None:  # all of it was forced
                yield from self._end(slot, slot.writer.written.new_text(final=True))
        stretches = self._batch()
        failed = self._without_room(stretches)
        if failed is not None:
            yield self._fail(*failed)
        elif stretches:
            yield from self._compute(stretches)

    # Taking requests

    def _admit(self) -> Iterator[tuple[int, AnswerEvent]]:
        for entry in [entry for entry in self._queue if entry[1].cancel.is_set]:
            self._queue.remove(entry)
            yield entry[0], _not_begun(entry[1], time.perf_counter() - entry[2])
        for entry in [*self._queue]:
            number, request, submitted = entry
            if self._places.full:
                return
            shared = self._places.shared(request.prompt)
            if self._places.soon_shared(request.prompt, shared):
                continue
            if self._slots and not self._places.fits(request, shared):
                return
            self._queue.remove(entry)
            self._started[number] = submitted
            try:
                self._check(request)
                self._places.enter(self._open(number, request, shared))
            except CoalmError as error:
                del self._started[number]
                yield number, Failed(error)

    def _check(self, request: Request) -> None:
        if not request.prompt:
            raise DecodingError("a prompt of no tokens cannot be computed")
        check_room(0, len(request.prompt), self._engine.info.context_tokens)
        for token in (min(request.prompt), max(request.prompt)):
            if not 0 <= token < self._engine.info.vocabulary_size:
                raise DecodingError(f"token {token} is outside the vocabulary of {self._engine.info.vocabulary_size}")

    def _open(self, number: int, request: Request, shared: Shared) -> Slot:
        sampler = request.sampler or Sampler(request.sampling)
        guide = guide_for(self._engine, request.grammar)
        wanted = not request.sampling.repeatable if request.drafts is None else request.drafts
        guesses = wanted and self._lanes.verifies
        writer = Writer(
            self._engine,
            request.prompt,
            sampler,
            request.sampling.max_tokens,
            guide,
            guesser=self._guesser(request) if guesses else None,
            pace=self._pace,
        )
        lane = self._places.lane_for(shared)
        writer.begin(self._lanes.begin(lane, writer.tokens))
        return Slot(number, request, lane, writer, guide)

    def _guesser(self, request: Request) -> Guesser:
        lookup = PromptLookup(request.prompt, self._engine.token_bytes, request.recorded)
        quick = QuickLookup(request.prompt, self._habits.trail)
        recorded = Recorded(request.recorded) if request.recorded else None
        return Guesser(self._pace, lookup, self._habits, quick, recorded)

    # One batch

    def _batch(self) -> list[tuple[Slot, Stretch]]:
        """The next tokens of every answer, as far as a batch goes; answers before prompts."""
        room = self._lanes.batch_tokens
        for slot in self._slots:
            if not slot.waiting:
                step = slot.writer.step(self._room_for_guesses(), len(self._slots))
                self._lanes.cut(slot.lane, step.kept)
                slot.waiting, slot.wanted = [*step.tokens], [*step.wanted]
        stretches: list[tuple[Slot, Stretch]] = []
        for slot in sorted(self._slots, key=lambda slot: len(slot.waiting)):
            count = min(len(slot.waiting), room)
            whole = count == len(slot.waiting)
            if not whole:
                count = min(count, slot.wanted[0])  # the rows stay together
            if count > 0:
                stretches.append((slot, Stretch(slot.lane, slot.waiting[:count], slot.wanted if whole else ())))
                room -= count
        return stretches

    def _room_for_guesses(self) -> int:
        """A fair share of the free room, less the tokens that are certain to come."""
        return min(self._lanes.free_tokens(), self._lanes.batch_tokens) // max(1, len(self._slots)) - 1

    def _without_room(self, stretches: Sequence[tuple[Slot, Stretch]]) -> tuple[Slot, CoalmError] | None:
        """Empties lanes that are not in use until the batch fits; else the answer that came last and its error."""
        if self._places.make_room(sum(len(stretch.tokens) for _, stretch in stretches), self._places.idle()):
            return None
        slot = max(stretches, key=lambda pair: pair[0].number)[0]
        context = self._engine.info.context_tokens
        try:
            check_room(context - self._lanes.free_tokens(), sum(len(each.tokens) for _, each in stretches), context)
        except CoalmError as error:
            return slot, error
        raise AssertionError("a batch without room does not fit")

    def _compute(self, stretches: Sequence[tuple[Slot, Stretch]]) -> Iterator[tuple[int, AnswerEvent]]:
        began = time.perf_counter()
        alone = stretches[0][0].request.cancel if len(stretches) == 1 else self.abort
        try:
            rows = self._lanes.compute([stretch for _, stretch in stretches], alone)
        except Cancelled:
            if len(stretches) == 1:
                slot = stretches[0][0]
                yield from self._end(slot, slot.writer.stop("cancelled"))
            return
        now = time.perf_counter()
        tokens = sum(len(stretch.tokens) for _, stretch in stretches)
        prompts = sum(self._prompt_part(slot, stretch) for slot, stretch in stretches)
        self.spent.add(prompts, tokens - prompts, now - began)
        self._pace.cost.measured(tokens, sum(len(stretch.wanted) for _, stretch in stretches), now - began)
        for (slot, stretch), logits in zip(stretches, rows, strict=True):
            del slot.waiting[: len(stretch.tokens)]
            slot.wanted = [place - len(stretch.tokens) for place in slot.wanted]
            if not slot.waiting:
                slot.prefilled_at = slot.prefilled_at or now
                yield from self._take(slot, logits)

    def _prompt_part(self, slot: Slot, stretch: Stretch) -> int:
        """How many of the tokens that were just computed are the prompt's."""
        before = len(self._lanes.held(slot.lane)) - len(stretch.tokens)
        return max(0, min(len(stretch.tokens), len(slot.request.prompt) - before))

    def _take(self, slot: Slot, logits: Rows) -> Iterator[tuple[int, AnswerEvent]]:
        try:
            text = slot.writer.take(logits)
        except CoalmError as error:
            yield self._fail(slot, error)
            return
        if slot.writer.reason is not None:
            yield from self._end(slot, text)
        elif text:
            yield slot.number, Piece(text)

    # Ends

    def _fail(self, slot: Slot, error: CoalmError) -> tuple[int, AnswerEvent]:
        self._leave(slot)
        del self._started[slot.number]
        return slot.number, Failed(error)

    def _end(self, slot: Slot, text: str) -> Iterator[tuple[int, AnswerEvent]]:
        self._leave(slot)
        if text:
            yield slot.number, Piece(text)
        yield slot.number, self._generated(slot)

    def _leave(self, slot: Slot) -> None:
        """Free the lane, which keeps what is certain of its sequence for the next prompt."""
        self._slots.remove(slot)
        if slot.writer.reason == "stop":
            self._habits.learn(slot.writer.written.tokens, self._engine.token_bytes)
        self._lanes.cut(slot.lane, min(slot.writer.held, len(self._lanes.held(slot.lane))))
        if slot.guide is not None:
            slot.guide.close()

    def _generated(self, slot: Slot) -> Generated:
        now = time.perf_counter()
        writer, started = slot.writer, self._started.pop(slot.number)
        prefilled = now if slot.prefilled_at is None else slot.prefilled_at
        timings = Timings(
            prompt_tokens=len(slot.request.prompt),
            reused_tokens=self._lanes.reused(slot.lane),
            generated_tokens=len(writer.written.tokens),
            ttft_s=0.0 if writer.first_token_at is None else writer.first_token_at - started,
            prefill_s=prefilled - started,
            decode_s=now - prefilled,
            total_s=now - started,
            steps=1,
        )
        tokens, counts = tuple(writer.written.tokens), writer.counts
        return Generated(writer.written.text, writer.reason or "stop", tokens, counts.refusals, timings, counts)


def _not_begun(request: Request, waited_s: float) -> Generated:
    """The end of an answer that was cancelled while it waited."""
    timings = Timings(prompt_tokens=len(request.prompt), prefill_s=waited_s, total_s=waited_s, steps=1)
    return Generated("", "cancelled", (), 0, timings)
