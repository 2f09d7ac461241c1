"""A generated call beside the gold one: one text form for both, and what is equal.

The text form, which Rouge and BLEU compare, is that of the published gold: the hammer dialect's JSON list, every
argument's value as a string (gold has "5" for an integer and "['a', 'b']" for a list), arguments in the order of the
tool's parameters, those that it does not have behind them in the order written. So neither the dialect, the order nor a
number's type costs overlap. What cannot be read as calls is compared as it stands.
Two values are equal as these strings, or when both spell the same list. Empty strings are no arguments, as in the
published evaluation of this form.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from coalm_lite import dialects
from coalm_lite.errors import OutputError
from coalm_lite.types import JsonObject, JsonValue, Message, ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote: its text form, its calls (none if it wrote words), and why it cannot be read, or ""."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    problem: str = ""


def read_answer(text: str, dialect: str, tools: Sequence[ToolSpec]) -> Written:
    """An output of a dialect, read as calls where it can be."""
    try:
        message = dialects.get(dialect).parse(text)
    except OutputError as error:
        return Written(text, problem=error.message)
    if message.text and not message.calls:
        return Written(message.text)
    calls = tuple(plain_call(call, tools) for call in message.calls)
    return Written(call_text(calls), calls)


def plain_call(call: ToolCall, tools: Sequence[ToolSpec]) -> ToolCall:
    """The call with its values as strings, arguments in the tool's order."""
    known = next((tool.parameters.get("properties") for tool in tools if tool.name == call.name), {})
    order = [name for name in known if name in call.arguments] if isinstance(known, dict) else []
    names = [*order, *(name for name in call.arguments if name not in order)]
    arguments: JsonObject = {name: _value_text(call.arguments[name]) for name in names}
    return ToolCall(call.name, {name: value for name, value in arguments.items() if value != ""})


def call_text(calls: Sequence[ToolCall]) -> str:
    """The text form of plain calls."""
    return dialects.get("hammer").render_reply(Message("assistant", calls=tuple(calls)))


def equal_calls(written: Sequence[ToolCall], gold: ToolCall) -> bool:
    """Whether the gold call, and no other, was written."""
    if len(written) != 1 or written[0].name != gold.name or set(written[0].arguments) != set(gold.arguments):
        return False
    return equal_arguments(written, gold) == len(gold.arguments)


def equal_arguments(written: Sequence[ToolCall], gold: ToolCall) -> int:
    """How many arguments of the gold call the first written call of its name has, with equal values."""
    call = next((call for call in written if call.name == gold.name), None)
    if call is None:
        return 0
    return sum(name in call.arguments and _equal(call.arguments[name], value) for name, value in gold.arguments.items())


def _value_text(value: JsonValue) -> str:
    return value.strip() if isinstance(value, str) else str(value)


def _equal(first: JsonValue, second: JsonValue) -> bool:
    return first == second or (_list(first) is not None and _list(first) == _list(second))


def _list(value: JsonValue) -> list[object] | None:
    """The list that a string spells as Python or JSON; None for other values."""
    if not isinstance(value, str) or not value.startswith("["):
        return None
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return read if isinstance(read, list) else None
