"""A conversation: the bounded loop of steps in which a model calls tools, reads what came of it and answers.

A turn is the user's text, then up to `max_steps` assistant steps; each step is one prompt and one constrained
generation, and each call of a step that passes validation and approval runs and is observed. Works with any dialect,
since only the dialect knows how a step is written. When the context is full, the oldest exchanges are no longer shown
to the model, and an event says so; when even the last one does not fit beside system text and tools, that is an error,
and the conversation stays as it was before the step that did not fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from coalm_lite import dialects
from coalm_lite.decoding.desk import Desk, desk_of
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.errors import OutputError, ToolError, TruncatedOutputError
from coalm_lite.runtime.base import Cancel, Cancelled, Engine, common_prefix_length
from coalm_lite.tools import Toolbox
from coalm_lite.trimming import first_shown
from coalm_lite.types import (
    CallStarted,
    Event,
    Message,
    Observation,
    Sampling,
    TextDelta,
    Timings,
    ToolCall,
    Trimmed,
    TurnDone,
)

DENIED = '{"error": "the user did not allow this call"}'
STOPPED = '{"error": "the user stopped before this call ran"}'
INSTRUCTIONS_KEY = "coalm.instructions"  # model metadata: "short" where it was trained on brief instructions


class Session:
    """One conversation with one engine. Not thread-safe; `Cancel` alone may be used from other threads."""

    def __init__(
        self,
        engine: Engine | Desk,
        tools: Toolbox,
        *,
        dialect: str = "cra",
        system: str = "",
        sampling: Sampling | None = None,
        max_steps: int = 8,
        approve: Callable[[ToolCall], bool] | None = None,
    ) -> None:
        """Compiles the tools' grammar, so that a schema which cannot be held is refused here (SchemaError).

        `approve` is asked before each call runs; None allows all.
        """
        self.desk = desk_of(engine)
        self.tools = tools
        self.dialect = dialects.get(dialect)
        self.system = system
        self.sampling = sampling or Sampling()
        self.max_steps = max_steps
        self.approve = approve
        self.messages: list[Message] = []
        self.hidden_messages = 0  # how many of the first ones the model does not see any more
        self._short = self.desk.info.metadata.get(INSTRUCTIONS_KEY) == "short"
        self._grammar = self.dialect.compiled(tools.specs)
        self._block: list[int] | None = None

    def send(self, text: str, cancel: Cancel | None = None) -> Iterator[Event]:
        """Yields the turn's events; the last is a TurnDone. Once `cancel` is set no call starts, none is waited for.

        Raises ContextFullError, OutputError or DecodingError; then the conversation keeps the steps that were finished
        before, and nothing of this turn when none was. Closing the iterator early keeps the finished steps too.
        """
        start = len(self.messages)
        self.messages.append(Message("user", text))
        try:
            yield from self._turn(cancel or Cancel())
        finally:
            if len(self.messages) == start + 1:
                del self.messages[start]

    def reset(self) -> None:
        """Forgets the conversation; system text and tools stay."""
        self.messages.clear()
        self.hidden_messages = 0

    def _turn(self, cancel: Cancel) -> Iterator[Event]:
        timings = Timings()
        for _ in range(self.max_steps):
            generated = yield from self._generate(cancel)
            timings = _added(timings, generated.timings)
            if generated.reason == "cancelled":
                yield self._stopped(generated, timings)
                return
            reply = self._read(generated)
            if not reply.calls:
                self.messages.append(reply)
                yield TurnDone(reply.text, generated.reason, timings)
                return
            yield from self._act(reply, cancel)
        yield TurnDone("", "steps", timings)

    def _generate(self, cancel: Cancel) -> Generator[Event, None, Generated]:
        """Yields the visible text as it comes; returns the whole step as it was written."""
        if cancel.is_set:
            return Generated("", "cancelled", (), 0, Timings())
        hidden = self._first_shown()
        if hidden != self.hidden_messages:
            self.hidden_messages = hidden
            yield Trimmed(hidden)
        tokens = self._tokens(hidden)
        if not self._ready(tokens, cancel):
            return Generated("", "cancelled", (), 0, Timings())
        written = shown = ""
        for part in self.desk.answer(Request(tokens, self.sampling, self._grammar, cancel)):
            if isinstance(part, Generated):
                return part
            written += part.text
            visible = self.dialect.visible_text(written)
            if len(visible) > len(shown):
                yield TextDelta(visible[len(shown) :])
                shown = visible
        raise AssertionError("generate ends with Generated")

    def _tokens(self, first: int, words: str | None = None) -> list[int]:
        """The prompt that shows the messages from index `first` on, or these words of a user alone."""
        shown = self.messages[first:] if words is None else [Message("user", words)]
        return self.desk.tokenize(self.dialect.render([*self._system(), *shown], self.tools.specs, self._short))

    def _first_shown(self) -> int:
        room = self.desk.info.context_tokens
        hidden = min(self.hidden_messages, len(self.messages) - 1)
        return first_shown(
            self.messages, hidden, lambda first: len(self._tokens(first)), room, self.sampling.max_tokens
        )

    def _ready(self, tokens: Sequence[int], cancel: Cancel) -> bool:
        """Restore or save what every prompt of these tools begins with: where prompts of different words agree.

        False when it was cancelled.
        """
        if self._block is None:
            one, other = self._tokens(0, "a"), self._tokens(0, "1")
            self._block = one[: common_prefix_length(one, other)]
        block = self._block
        try:
            self.desk.ready(block[: common_prefix_length(block, tokens)], cancel)
        except Cancelled:
            return False
        return True

    def _system(self) -> list[Message]:
        return [Message("system", self.system)] if self.system else []

    def _read(self, generated: Generated) -> Message:
        """The step that was written; one cut off at the token limit says so in its error.

        A call that was only completed at the limit is valid, but not what the model meant: it must not run.
        """
        hint = f"The answer was cut at {self.sampling.max_tokens} tokens; raise --max-tokens."
        try:
            reply = self.dialect.parse(generated.text)
        except OutputError as error:
            if generated.reason == "length":
                error.hint = hint
            raise
        if reply.calls and generated.counts.completed:
            raise TruncatedOutputError(f"the call of {reply.calls[-1].name} was not written to its end", hint)
        return reply

    def _stopped(self, generated: Generated, timings: Timings) -> TurnDone:
        """A cancelled turn keeps the words that the user has seen."""
        text = self.dialect.visible_text(generated.text)
        self.messages.append(Message("assistant", text))
        return TurnDone(text, "cancelled", timings)

    def _act(self, reply: Message, cancel: Cancel) -> Iterator[Event]:
        """Runs a step's calls; the step enters the conversation together with all its observations."""
        observations: list[Observation] = []
        calls: list[ToolCall] = []
        for call in reply.calls:
            observation = yield from self._observe(call, cancel)
            calls.append(observation.call)
            observations.append(observation)
        results = [Message("tool", observation.text) for observation in observations]
        self.messages += [replace(reply, calls=tuple(calls)), *results]  # at once: other threads may look on

    def _observe(self, call: ToolCall, cancel: Cancel) -> Generator[Event, None, Observation]:
        """Validates, asks, runs; an invalid call is observed as an error and never started."""
        try:
            valid = self.tools.validate(call)
        except ToolError as error:
            observation = Observation(call, json.dumps({"error": error.message}, ensure_ascii=False), ok=False)
        else:
            refused = self._refused(valid, cancel)
            if refused:
                observation = Observation(valid, refused, ok=False)
            else:
                yield CallStarted(valid)
                observation = self.tools.run(valid, cancel)
        yield observation
        return observation

    def _refused(self, call: ToolCall, cancel: Cancel) -> str:
        """Why a valid call does not run, in words for the model; "" if it does."""
        allowed = cancel.is_set or self.approve is None or self.approve(call)
        return STOPPED if cancel.is_set else "" if allowed else DENIED


def _added(total: Timings, step: Timings) -> Timings:
    """The turn's cost with one more step: the first step's time to first token, the last one's prompt, sums else."""
    return Timings(
        prompt_tokens=step.prompt_tokens,
        reused_tokens=total.reused_tokens + step.reused_tokens,
        generated_tokens=total.generated_tokens + step.generated_tokens,
        ttft_s=total.ttft_s if total.steps else step.ttft_s,
        prefill_s=total.prefill_s + step.prefill_s,
        decode_s=total.decode_s + step.decode_s,
        total_s=total.total_s + step.total_s,
        steps=total.steps + 1,
    )
