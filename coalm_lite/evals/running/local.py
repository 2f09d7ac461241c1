"""A model on this machine as a `Backend`: many answers in one batch, over one KV cache that shares what prompts share.

Answers are greedy. Grammars are compiled once for the same tools, and a prompt is written and tokenized once. Nothing
here hangs on measured time: a batch is the same in each run, so that a run that was killed ends as if it had not been.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version

from coalm_lite import dialects
from coalm_lite.decoding.drafts import Habits
from coalm_lite.decoding.lanes import lanes_of
from coalm_lite.decoding.pace import BatchParts, GivenCost, Pace
from coalm_lite.decoding.requests import AnswerEvent, Failed, Generated, Request
from coalm_lite.decoding.scheduler import Scheduler, Spent
from coalm_lite.errors import CoalmError, ContextFullError
from coalm_lite.evals.items import Ask
from coalm_lite.evals.run import ModelStory, Step
from coalm_lite.evals.running.backend import DEFAULT_TOP_LOGPROBS, Costs, Question, asked_words
from coalm_lite.evals.running.model_story import vocabulary_sha256
from coalm_lite.evals.running.recording import Recorder
from coalm_lite.evals.running.remote_base import as_draft
from coalm_lite.grammar import Grammar
from coalm_lite.runtime.base import Engine, common_prefix_length
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.session import INSTRUCTIONS_KEY
from coalm_lite.types import Prompt, Sampling, ToolSpec

_GRAMMARS = 256  # kept at once
_WORTH_WAITING = 16  # tokens: what is saved by waiting for another prompt
_ROUND = 16  # hex digits of a prompt's hash


def steady_pace(answers: int) -> Pace:
    """A pace by which two runs decode alike, as coalm-nano's was on a laptop.

    Where many answers share a batch, nothing but recorded answers is guessed.
    """
    return Pace(GivenCost(BatchParts(fixed=3.5e-4 if answers == 1 else 0.0, token=2e-4, row=2e-5)))


@dataclass(slots=True, eq=False)
class _Open:
    """A question that is being answered. `behind`: the one whose prompt is computed first, as it begins alike."""

    question: Question
    request: Request
    recorder: Recorder
    behind: _Open | None = None
    over: bool = False

    @property
    def prompt(self) -> Sequence[int]:
        return self.request.prompt

    @property
    def is_computed(self) -> bool:
        """Whether what its prompt begins with can be shared."""
        return self.over or self.recorder.begun


class LocalBackend(ClosedAtExit):
    """A `Backend` on an engine, which it does not close."""

    def __init__(
        self,
        engine: Engine,
        story: ModelStory,
        *,
        grammar: bool = True,
        top_logprobs: int = DEFAULT_TOP_LOGPROBS,
        parallel: int | None = None,
    ) -> None:
        """`parallel`: questions at once; None for all the sequences that the engine has."""
        lanes = lanes_of(engine)
        self.story = replace(story, vocabulary_sha256=vocabulary_sha256(engine))
        self.short = engine.info.metadata.get(INSTRUCTIONS_KEY) == "short"
        self.grammar = grammar
        self.top_logprobs = top_logprobs
        self.parallel = min(parallel or lanes.count, lanes.count)
        self.versions: Mapping[str, str] = {"llama-cpp-python": version("llama-cpp-python"), "numpy": version("numpy")}
        self._engine = engine
        self._waiting: list[_Open] = []
        self._open: dict[int, _Open] = {}
        self._done: list[tuple[int, Step]] = []
        self._costs = Costs()
        self._compiled = lru_cache(_GRAMMARS)(_compiled)
        self._scheduler = Scheduler(engine, steady_pace(self.parallel), Habits())

    def forget(self) -> None:
        """Empty the KV cache and begin the guessing anew."""
        self._note(self._scheduler.spent)
        lanes = lanes_of(self._engine)
        for lane in range(lanes.count):
            lanes.cut(lane, 0)
        self._scheduler.close()
        self._scheduler = Scheduler(self._engine, steady_pace(self.parallel), Habits())

    def submit(self, question: Question) -> None:
        """Write the prompt and give it to the scheduler; what does not fit is answered with an error at once."""
        began = time.perf_counter()
        prompt: Sequence[int] = ()
        try:
            prompt = self._prompt(question.ask)
            request, recorder = self._request(question, prompt)
        except CoalmError as error:
            self._done.append((question.number, self._refused(question.ask, prompt, error)))
            return
        finally:
            self._costs.prompting_s += time.perf_counter() - began
        self._waiting.append(_Open(question, request, recorder))

    def _prompt(self, ask: Ask) -> Sequence[int]:
        return self._engine.tokenize(self._rendered(ask))

    def _rendered(self, ask: Ask) -> Prompt:
        return dialects.get(ask.dialect).render(ask.messages, ask.tools, self.short)

    def _request(self, question: Question, prompt: Sequence[int]) -> tuple[Request, Recorder]:
        ask, room = question.ask, self._engine.info.context_tokens - len(prompt)
        if room < 1:
            raise ContextFullError(
                f"the prompt has {len(prompt)} tokens, and the context {self._engine.info.context_tokens}"
            )
        grammar = self._compiled(ask.dialect, _Tools(ask.tools)) if self.grammar else None
        sampling = Sampling(max_tokens=min(ask.max_tokens, room))
        base = question.recorded
        if base is not None and base.prompt_sha256 != prompt_sha256(prompt):
            base = as_draft(base, self._rendered(ask), self._engine)  # a server's, or its words led it elsewhere
        recorder = Recorder(sampling, len(prompt), self.top_logprobs, base)
        recorded = base.tokens if base is not None else ()
        return Request(prompt, sampling, grammar, recorded=recorded, sampler=recorder), recorder

    def finished(self) -> Sequence[tuple[int, Step]]:
        """Compute batches until an answer is there."""
        began, computed = time.perf_counter(), self._computed_s
        while not self._done and (self._waiting or self._open):
            self._admit()
            for number, event in self._scheduler.step():
                self._take(number, event)
        self._costs.sampling_s += time.perf_counter() - began - (self._computed_s - computed)
        done, self._done = self._done, []
        return done

    def _admit(self) -> None:
        """Give the scheduler what waits, but not what shares more with a prompt that is still being computed."""
        for one in [*self._waiting]:
            if one.behind is None or one.behind.is_computed:
                one.behind = self._sharer(one.prompt)
            if one.behind is None:
                self._waiting.remove(one)
                self._open[self._scheduler.submit(one.request)] = one

    def _sharer(self, prompt: Sequence[int]) -> _Open | None:
        """The question whose prompt, once computed, saves this one much more than what the cache holds now."""
        coming = [one for one in self._open.values() if not one.is_computed]
        if not coming:
            return None
        lanes = lanes_of(self._engine)
        held = max(common_prefix_length(lanes.held(lane), prompt) for lane in range(lanes.count))
        lengths = [common_prefix_length(one.prompt, prompt) for one in coming]
        longest = max(lengths)
        return coming[lengths.index(longest)] if longest >= held + _WORTH_WAITING else None

    @property
    def _computed_s(self) -> float:
        return self._scheduler.spent.prompt_s + self._scheduler.spent.answer_s

    def _take(self, number: int, event: AnswerEvent) -> None:
        if isinstance(event, Failed):
            done = self._open.pop(number)
            done.over = True
            if not isinstance(event.error, ContextFullError):
                raise event.error
            self._done.append((done.question.number, self._refused(done.question.ask, done.prompt, event.error)))
        elif isinstance(event, Generated):
            done = self._open.pop(number)
            done.over = True
            self._count(event, done)
            self._done.append((done.question.number, self._step(event, done)))

    def _count(self, event: Generated, done: _Open) -> None:
        self._costs.prompt_tokens += len(done.prompt)
        self._costs.answer_tokens += len(event.tokens)
        self._costs.counts["forced"] += event.counts.forced
        self._costs.counts["refused"] += event.counts.refusals
        self._costs.counts["drafted"] += event.counts.drafted
        self._costs.counts["drafts held"] += sum(event.counts.accepted)

    def _step(self, event: Generated, done: _Open) -> Step:
        return Step(
            prompt_sha256=prompt_sha256(done.prompt),
            prompt_tokens=len(done.prompt),
            text=event.text,
            end="length" if event.reason == "length" else "stop",
            tokens=event.tokens,
            ends=_ends(event, self._engine.token_bytes),
            choices=done.recorder.choices(event.tokens),
            agreement=done.recorder.agreement(event.tokens),
            asked=asked_words(done.question.ask),
        )

    def _refused(self, ask: Ask, prompt: Sequence[int], error: CoalmError) -> Step:
        return Step(prompt_sha256(prompt), len(prompt), "", "error", error=error.message, asked=asked_words(ask))

    def _note(self, spent: Spent) -> None:
        self._costs.computed_tokens += spent.prompt_tokens
        self._costs.prefill_s += spent.prompt_s
        self._costs.decode_s += spent.answer_s

    @property
    def costs(self) -> Costs:
        """What all answers took."""
        self._note(self._scheduler.spent)
        self._scheduler.spent = Spent()
        return self._costs

    def close(self) -> None:
        """Drop what is open and free the grammars."""
        self._scheduler.close()
        self._waiting.clear()
        self._open.clear()


class _Tools:
    """Tools that are equal when they read alike: schemas are dictionaries, which cannot be looked up."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self.tools = tools
        self._text = json.dumps([asdict(tool) for tool in tools])

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tools) and other._text == self._text


def _compiled(dialect: str, tools: _Tools) -> Grammar:
    return dialects.get(dialect).compiled(tools.tools)


def prompt_sha256(prompt: Sequence[int]) -> str:
    """The first digits of the hash of a prompt's tokens, by which a step says what was asked."""
    return sha256(" ".join(map(str, prompt)).encode()).hexdigest()[:_ROUND]


def _ends(event: Generated, token_bytes: Callable[[int], bytes]) -> tuple[int, ...]:
    """Where each token ends in the text's bytes; bytes that are no text are counted as they were written."""
    ends, end, whole = [], 0, len(event.text.encode())
    for token in event.tokens:
        end = min(end + len(token_bytes(token)), whole)
        ends.append(end)
    return tuple(ends)
