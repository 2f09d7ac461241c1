"""Calls written as Python: `name(key=value, ...)` and lists of them.

Values are Python literals, read by `ast.literal_eval`. Names and keys are scanned, since trained data has names with
dots and spaces and keys that are Python keywords. The forms: a call, or `[call, call]`; nothing else is evaluated.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass

from coalm_lite.errors import MalformedOutputError, TruncatedOutputError
from coalm_lite.types import JsonObject, JsonValue, ToolCall

_CLOSERS = {"(": ")", "[": "]", "{": "}"}


def render_call(call: ToolCall) -> str:
    """`name(key='value', count=2)`, values as `repr` writes them."""
    return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"


def parse_call(text: str) -> ToolCall:
    """The one call that `text` consists of."""
    scanner = _Scanner(text)
    call = scanner.call()
    scanner.end()
    return call


def parse_calls(text: str) -> tuple[ToolCall, ...]:
    """The calls of a bracketed list, in order."""
    scanner = _Scanner(text)
    scanner.expect("[")
    calls: list[ToolCall] = []
    while not scanner.found("]"):
        if calls:
            scanner.expect(",")
        calls.append(scanner.call())
    scanner.end()
    return tuple(calls)


@dataclass(slots=True)
class _Scanner:
    """A position in `text`; each method reads one thing and moves past it."""

    text: str
    at: int = 0

    def call(self) -> ToolCall:
        name = self._until("(", forbidden="[]{})=,'\"\n")
        arguments: JsonObject = {}
        while not self.found(")"):
            if arguments:
                self.expect(",")
            key = self._until("=", forbidden="()[]{},'\"\n")
            if key in arguments:
                raise MalformedOutputError(f"argument {key!r} is given twice in {self.text[:80]!r}")
            arguments[key] = self._value()
        return ToolCall(name, arguments)

    def found(self, mark: str) -> bool:
        """Whether `mark` comes next; if so it is read."""
        self._skip_space()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        if not self.found(mark):
            self._fail_at(self.at, f"expected {mark!r}")

    def end(self) -> None:
        self._skip_space()
        if self.at < len(self.text):
            self._fail_at(self.at, "expected the end")

    def _until(self, mark: str, forbidden: str) -> str:
        self._skip_space()
        start = self.at
        while self.at < len(self.text) and self.text[self.at] != mark:
            if self.text[self.at] in forbidden:
                self._fail_at(self.at, f"expected a name followed by {mark!r}")
            self.at += 1
        name = self.text[start : self.at].strip()
        if self.at < len(self.text) and not name:
            self._fail_at(self.at, "expected a name")
        self.expect(mark)
        return name

    def _value(self) -> JsonValue:
        start, self.at = self.at, self._value_end()
        source = self.text[start : self.at].strip()
        try:
            return _as_json(ast.literal_eval(source))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise MalformedOutputError(f"{source[:80]!r} is no literal value") from None

    def _value_end(self) -> int:
        """Where the value ends: at the first `,` or `)` outside quotes and brackets."""
        open_brackets: list[str] = []
        at = self.at
        while at < len(self.text):
            mark = self.text[at]
            if mark in "'\"":
                at = self._string_end(at)
            elif mark in _CLOSERS:
                open_brackets.append(_CLOSERS[mark])
            elif not open_brackets and mark in ",)":
                return at
            elif mark in ")]}" and (not open_brackets or open_brackets.pop() != mark):
                self._fail_at(at, "unbalanced bracket")
            at += 1
        return self._fail_at(at, "the value does not end")

    def _string_end(self, start: int) -> int:
        """The position of the quote that closes the string opened at `start`."""
        at = start + 1
        while at < len(self.text):
            if self.text[at] == "\\":
                at += 1
            elif self.text[at] == self.text[start]:
                return at
            at += 1
        return self._fail_at(at, "the string does not end")

    def _skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _fail_at(self, at: int, problem: str) -> int:
        where = f"{problem} at character {at} of {self.text[:120]!r}"
        raise TruncatedOutputError(where) if at >= len(self.text) else MalformedOutputError(where)


def _as_json(value: object) -> JsonValue:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple():
            return [_as_json(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {str(key): _as_json(item) for key, item in value.items()}
        case _:
            raise ValueError(f"{value!r} has no JSON form")
