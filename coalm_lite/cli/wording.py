"""How calls, results, errors and timings are worded on a screen, and what of a text may reach a terminal."""

from __future__ import annotations

import json
import unicodedata

from coalm_lite.dialects.python_calls import render_call
from coalm_lite.session import Session
from coalm_lite.types import JsonValue, Observation, StopReason, Timings, ToolCall

RESULT_CHARACTERS = 240
_KEPT_CONTROLS = "\n\t"
_REPLACED = {"Cc", "Cs"}
_REASONS: dict[StopReason, str] = {
    "length": "the answer was cut at {max_tokens} tokens; --max-tokens raises the limit",
    "steps": "stopped after {max_steps} steps without an answer; --max-steps raises the limit",
    "cancelled": "stopped",
}


def printable(text: str) -> str:
    """`text` with its control characters replaced: a model or a tool must not steer the terminal."""
    return "".join(
        character if character in _KEPT_CONTROLS or unicodedata.category(character) not in _REPLACED else "\ufffd"
        for character in text.replace("\r\n", "\n")
    )


def call_words(call: ToolCall) -> str:
    """`name(argument='value')`, on one line."""
    return _one_line(render_call(call))


def result_value(observation: Observation) -> JsonValue:
    """The observation's JSON value, its text where it is no JSON."""
    try:
        value: JsonValue = json.loads(observation.text)
    except ValueError:
        return observation.text
    return value


def result_words(observation: Observation) -> str:
    """The result on one line, cut where it is too long to read; why there is none, for a failed call."""
    text = observation.text
    value = result_value(observation)
    if not observation.ok and isinstance(value, dict) and isinstance(value.get("error"), str):
        text = str(value["error"])
    text = _one_line(text)
    if len(text) <= RESULT_CHARACTERS:
        return text
    return f"{text[:RESULT_CHARACTERS]}... ({len(text)} characters)"


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def end_words(session: Session, reason: StopReason) -> str:
    """What to tell the user of how a turn ended; "" for an ordinary end."""
    words = _REASONS.get(reason, "")
    return words.format(max_tokens=session.sampling.max_tokens, max_steps=session.max_steps)


def error_words(message: str, hint: str) -> str:
    """An error, and below it what to do."""
    return printable(f"error: {message}\nhint: {hint}" if hint else f"error: {message}")


def timing_words(timings: Timings) -> str:
    """What a turn cost, on one line."""
    speed = timings.generated_tokens / timings.decode_s if timings.decode_s > 0 else 0.0
    many = timings.steps != 1
    return (
        f"{timings.steps} step{'s' if many else ''}, prompt {timings.prompt_tokens} tokens,"
        f" {timings.reused_tokens} reused{' in all steps' if many else ''},"
        f" answer {timings.generated_tokens} tokens at {speed:.1f}/s,"
        f" first token after {timings.ttft_s:.2f} s, {timings.total_s:.2f} s in all"
    )


def tool_count_words(count: int) -> str:
    """`1 tool`, `9 tools`, `no tools`."""
    return f"{count or 'no'} tool{'s' if count != 1 else ''}"


def trimmed_words(messages: int) -> str:
    """That the model no longer sees the beginning of the conversation."""
    return f"the context is full: the model no longer sees the first {messages} messages; /reset starts over"
