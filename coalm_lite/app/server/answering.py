"""The model's answer to what was asked: words as they come, calls and JSON when they are whole and known to be valid.

What the rules of a grammar cannot say (multipleOf, not, if) is checked when a call is read; then the model reads what
was wrong and gets one more try, as in a session. A call that the token limit cut, or that was only completed there, is
not what the model meant: it is left out, and the answer's reason is "length". Runs on a thread of its own.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from coalm_lite.app.server.asking import Asked
from coalm_lite.app.server.stop_words import StopWords
from coalm_lite.decoding.desk import Desk
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.errors import MalformedOutputError, OutputError, ToolError
from coalm_lite.runtime.base import Cancel
from coalm_lite.types import Message, Segment, ToolCall

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls"]
_TRIES = 2
_NOT_RUN = '{"error": "not run: another call of this step was wrong"}'


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: of the prompt, those of it that were there from before, and those that were written, retries included."""

    prompt: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Words:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer's end. `reason` is None when it was cancelled."""

    calls: tuple[ToolCall, ...]
    reason: FinishReason | None
    usage: Usage
    ttft_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Written:
    """One generation: all of it, and whether a stop word ended it."""

    generated: Generated
    stopped: bool


def answer(desk: Desk, asked: Asked, tokens: list[int], cancel: Cancel) -> Generator[Words | Finished, None, None]:
    """The answer to `tokens`, the prompt of `asked`: its words, and one `Finished` last.

    Raises MalformedOutputError when no try gave valid calls, and what the desk raises.
    """
    usage, ttft_s, problem = Usage(), 0.0, ""
    for _ in range(_TRIES):
        written = yield from _words(desk, asked, tokens, cancel)
        end = written.generated
        usage, ttft_s = _added(usage, end, desk), ttft_s or end.timings.ttft_s
        if end.reason == "cancelled" and not written.stopped:
            yield Finished((), None, usage, ttft_s)
            return
        if written.stopped or end.counts.completed or end.reason == "length":
            yield Finished((), "stop" if written.stopped else "length", usage, ttft_s)
            return
        try:
            yield from _read(asked, end, usage, ttft_s)
            return
        except _Wrong as wrong:
            problem = str(wrong)
            tokens = asked.tokens(desk, wrong.told)
    raise MalformedOutputError(f"in {_TRIES} tries the model gave nothing that fits: {problem}")


class _Wrong(Exception):  # noqa: N818 - the model's fault, told to it
    """An output that its check refused; `told` is what the model reads of it."""

    def __init__(self, problem: str, told: list[Message]) -> None:
        super().__init__(problem)
        self.told = told


def _words(desk: Desk, asked: Asked, tokens: list[int], cancel: Cancel) -> Generator[Words | Finished, None, _Written]:
    """Yields the visible words, up to a stop word and as far as there is room; returns what was written."""
    stops = StopWords(asked.stops)
    room = desk.info.context_tokens - len(tokens)
    sampling = replace(asked.sampling, max_tokens=min(asked.sampling.max_tokens, room))
    own = Cancel()  # a stop word ends this generation alone
    cancel.tell(own.set)
    written = ""
    try:
        request = Request(tokens, sampling, asked.grammar, own, pieces=asked.pieces)
        with closing(desk.answer(request)) as events:
            for event in events:
                ended = isinstance(event, Generated)
                written = event.text if isinstance(event, Generated) else written + event.text
                visible = "" if asked.shape is not None else asked.dialect.visible_text(written)
                if text := stops.more(visible, final=ended):
                    yield Words(text)
                if stops.found:
                    own.set()
                if isinstance(event, Generated):
                    return _Written(event, stops.found)
    finally:
        cancel.forget(own.set)
    raise AssertionError("an answer ends with Generated")


def _read(asked: Asked, end: Generated, usage: Usage, ttft_s: float) -> Generator[Words | Finished, None, None]:
    """The end of a whole answer; _Wrong where its check refuses it."""
    try:
        reply = asked.dialect.parse(end.text)
    except OutputError as error:
        raise _Wrong(error.message, []) from error
    if asked.shape is not None:
        try:
            value = asked.shape.read(reply.calls[0].arguments)
        except ToolError as error:
            raise _Wrong(error.message, _told(reply, {0: error})) from error
        yield Words(json.dumps(value, ensure_ascii=False))
        yield Finished((), "stop", usage, ttft_s)
        return
    calls = _checked(asked, reply)
    yield Finished(calls, "tool_calls" if calls else "stop", usage, ttft_s)


def _checked(asked: Asked, reply: Message) -> tuple[ToolCall, ...]:
    errors: dict[int, ToolError] = {}
    calls: list[ToolCall] = []
    for at, call in enumerate(reply.calls):
        try:
            calls.append(asked.tools.checked(call) if asked.tools is not None else call)
        except ToolError as error:
            errors[at] = error
    if errors:
        raise _Wrong(next(iter(errors.values())).message, _told(reply, errors))
    return tuple(calls)


def _told(reply: Message, errors: dict[int, ToolError]) -> list[Message]:
    """The step that was wrong, and what came of each of its calls."""
    results = [
        json.dumps({"error": errors[at].message}, ensure_ascii=False) if at in errors else _NOT_RUN
        for at in range(len(reply.calls))
    ]
    return [reply, *(Message("tool", text) for text in results)]


def _added(usage: Usage, end: Generated, desk: Desk) -> Usage:
    timings = end.timings
    written = timings.generated_tokens or (len(desk.tokenize((Segment(end.text),))) if end.text else 0)
    if usage.prompt:
        return replace(usage, written=usage.written + written)
    return Usage(timings.prompt_tokens, timings.reused_tokens, written)
