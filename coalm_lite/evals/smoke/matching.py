"""Whether a reply is what an item wants: these calls, in any order, or none and certain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TypeAlias

from coalm_lite.types import JsonValue, Message, ToolCall

WantedCall: TypeAlias = "tuple[str, Mapping[str, Sequence[JsonValue]]]"
LEFT_OUT = ""  # among an argument's values: it need not be written


@dataclass(frozen=True, slots=True)
class Wanted:
    """The calls, each argument with its acceptable values; without calls, words that the reply has one of (if any)."""

    calls: tuple[WantedCall, ...]
    says: tuple[str, ...] = ()


def problem_of(reply: Message, wanted: Wanted) -> str:
    """What is wrong with a reply, in words for a person; "" if nothing is."""
    if not wanted.calls:
        return _problem_of_words(reply, wanted.says)
    if len(reply.calls) != len(wanted.calls):
        return f"{len(reply.calls)} calls, {len(wanted.calls)} are right"
    attempts = [_problem_of_order(reply.calls, order) for order in permutations(wanted.calls)]
    return "" if "" in attempts else attempts[0]


def _problem_of_words(reply: Message, says: tuple[str, ...]) -> str:
    if reply.calls:
        return f"{reply.calls[0].name} is called, no call is right"
    told = _folded(reply.text)
    if says and not any(_folded(words) in told for words in says):
        return f"the words do not say {' or '.join(says)}"
    return ""


def _problem_of_order(calls: Sequence[ToolCall], wanted: Sequence[WantedCall]) -> str:
    return next(filter(None, map(_problem_of_call, calls, wanted)), "")


def _problem_of_call(call: ToolCall, wanted: WantedCall) -> str:
    name, values = wanted
    if call.name != name:
        return f"{call.name} is called, {name} is right"
    for argument, acceptable in values.items():
        if argument not in call.arguments:
            if LEFT_OUT not in acceptable:
                return f"{name} lacks {argument}"
        elif _folded(call.arguments[argument]) not in map(_folded, acceptable):
            return f"{name} has {argument}={call.arguments[argument]!r}, {acceptable[-1]!r} is right"
    surplus = next((argument for argument in call.arguments if argument not in values), "")
    return f"{name} has {surplus}, which was not said" if surplus else ""


def _folded(value: JsonValue) -> str:
    """A value as it is compared: a number by its digits, text in lower case with single spaces."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).casefold().split())
