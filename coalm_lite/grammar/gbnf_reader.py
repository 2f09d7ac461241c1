"""The grammar files of `coalm_lite.grammars` as rules: the GBNF that they are written in, one rule a line.

Covered: literals, classes of what is allowed, groups, choices, references, `? * + {m} {m,} {m,n}`, comment lines, and
`<name>` placeholders, which are read as references. Not covered: rules over several lines, `.`, `[^...]`, token rules.
What cannot be read raises ValueError.
"""

from __future__ import annotations

import re
from importlib.resources import files

from coalm_lite.grammar.charset import normal
from coalm_lite.grammar.ir import (
    EMPTY,
    Chars,
    Choice,
    Expression,
    Ref,
    Repeat,
    sequence,
    text,
)

_CHARACTER = r"\\U[0-9a-fA-F]{8}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrt\\\"\[\]-]|[^\\\n]"
_TOKEN = re.compile(
    rf"""(?P<literal>"(?:(?!")(?:{_CHARACTER}))*")
    |(?P<klass>\[(?!\^)(?:(?!\])(?:{_CHARACTER}))+\])
    |(?P<name><?[a-zA-Z0-9-]+>?)
    |(?P<repeat>[?*+]|\{{\d+(?:,\d*)?\}})
    |(?P<mark>[|()])
    |(?P<space>[ \t]+)""",
    re.VERBOSE,
)
_ONE = re.compile(f"({_CHARACTER})(?:-({_CHARACTER}))?")


def read_file(name: str) -> dict[str, Expression]:
    """The rules of `grammars/NAME.gbnf`, in the file's order."""
    return read_gbnf(files("coalm_lite.grammars").joinpath(f"{name}.gbnf").read_text(encoding="utf-8"))


def read_gbnf(source: str) -> dict[str, Expression]:
    """The rules of a GBNF text, in its order."""
    rules: dict[str, Expression] = {}
    for line in source.splitlines():
        if line and not line.startswith("#"):
            name, found, body = line.partition(" ::= ")
            if not found or name in rules:
                raise ValueError(f"not a new rule: {line!r}")
            rules[name] = _Reader(body).whole()
    return rules


class _Reader:
    """Reads one rule's body."""

    def __init__(self, body: str) -> None:
        found = list(_TOKEN.finditer(body))
        if "".join(match[0] for match in found) != body:
            raise ValueError(f"cannot read {body!r}")
        self._tokens = [(str(match.lastgroup), match[0]) for match in found if match.lastgroup != "space"]
        self._at = 0

    def whole(self) -> Expression:
        """The body, to its end."""
        expression = self._choice()
        if self._at < len(self._tokens):
            raise ValueError(f"unexpected {self._tokens[self._at][1]!r}")
        return expression

    def _next_is(self, *marks: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] in [("mark", mark) for mark in marks]

    def _choice(self) -> Expression:
        options = [self._sequence()]
        while self._next_is("|"):
            self._at += 1
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Expression:
        items: list[Expression] = []
        while self._at < len(self._tokens) and not self._next_is("|", ")"):
            kind, written = self._tokens[self._at]
            self._at += 1
            if kind == "repeat":
                items[-1] = _repeat(items[-1], written)
            else:
                items.append(self._group() if kind == "mark" else _item(kind, written))
        return sequence(*items) if items else EMPTY

    def _group(self) -> Expression:
        inner = self._choice()
        if not self._next_is(")"):
            raise ValueError("a group is not closed")
        self._at += 1
        return inner


def _item(kind: str, written: str) -> Expression:
    if kind == "name":
        return Ref(written)
    inner = written[1:-1]
    if kind == "literal":
        return text("".join(chr(_code_point(match[1])) for match in re.finditer(f"({_CHARACTER})", inner)))
    pairs = [(_code_point(match[1]), _code_point(match[2] or match[1])) for match in _ONE.finditer(inner)]
    return Chars(normal(pairs))


def _code_point(part: str) -> int:
    if part[0] != "\\":
        return ord(part)
    return int(part[2:], 16) if part[1] in "xuU" else ord({"n": "\n", "r": "\r", "t": "\t"}.get(part[1], part[1]))


def _repeat(item: Expression, written: str) -> Repeat:
    braces = {"?": "{0,1}", "*": "{0,}", "+": "{1,}"}.get(written, written)
    least, comma, most = braces[1:-1].partition(",")
    return Repeat(item, int(least), int(most) if most else None if comma else int(least))
