"""`pattern` as a regular language, read by Python's own parser of regular expressions, which also checks the values.

Where ECMA-262 and Python differ, a text must pass both: `\\d`, `\\w` and `\\s` are their ASCII characters, `\\D`, `\\W`
and `\\S` what no alphabet counts among them, `.` is no line break of either, `$` is the very end. Held: what has no
memory. Look-around, back references, word boundaries, atomic groups and flags raise UnheldError; what Python cannot
read raises re.error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

from coalm_lite.grammar import ir
from coalm_lite.grammar.charset import Ranges, charset, complement, normal, union
from coalm_lite.grammar.regular import Anchor, Dfa, Pattern, TooLargeError, dfa_of

_DIGITS = charset("0123456789")
_WORD = charset((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), "_")
_SPACE = charset(" \t\n\r\f\v")
_NOT_LINE_BREAKS = complement(charset("\n\r\u2028\u2029"))
_SPACES_ANYWHERE = charset(
    (9, 13), (0x1C, 0x20), "\x85\xa0\u1680", (0x2000, 0x200A), "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_MOST_COPIES = 2000
_FIRST_UNASSIGNED_PLANE = 0x40000  # no letter or digit lies beyond (tested)


class UnheldError(Exception):
    """No regular language holds this part of a pattern; its words name the part."""


@lru_cache(maxsize=512)
def pattern_dfa(pattern: str) -> Dfa:
    """The texts in which `re.search(pattern, text)` finds something; UnheldError, TooLargeError, re.error."""
    # Any: the parser is Python's own and has no types
    parser: Any = import_module("re._parser")
    tree = parser.parse(pattern)
    if tree.state.flags & ~re.UNICODE:
        raise UnheldError("flags")
    try:
        return dfa_of(_sequence(tree), search=True)
    except RecursionError:
        raise TooLargeError from None


def _sequence(items: Any) -> Pattern:
    parts = [_part(str(operation), argument) for operation, argument in items]
    return ir.Sequence(tuple(parts))  # type: ignore[arg-type]  # anchors stand inside a pattern only


def _part(operation: str, argument: Any) -> Pattern:  # noqa: PLR0911 - one return a kind
    match operation:
        case "LITERAL":
            return ir.Chars(normal([(argument, argument)]))
        case "NOT_LITERAL":
            return ir.Chars(complement(((argument, argument),)))
        case "ANY":
            return ir.Chars(_NOT_LINE_BREAKS)
        case "IN":
            return ir.Chars(_class(argument))
        case "BRANCH":
            return ir.Choice(tuple(_sequence(option) for option in argument[1]))  # type: ignore[misc]
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeat(*argument)
        case "SUBPATTERN" if not argument[1] and not argument[2]:
            return _sequence(argument[3])
        case "AT" if str(argument) in ("AT_BEGINNING", "AT_BEGINNING_STRING", "AT_END", "AT_END_STRING"):
            return Anchor(at_end=str(argument).startswith("AT_END"))
    named = argument if operation == "AT" else operation
    raise UnheldError(str(named).lower().replace("_", " "))


def _repeat(least: int, most: object, items: Any) -> Pattern:
    bound = None if str(most) == "MAXREPEAT" else int(str(most))
    if max(least, bound or 0) > _MOST_COPIES:
        raise TooLargeError
    return ir.Repeat(_sequence(items), least, bound)  # type: ignore[arg-type]


def _class(items: Sequence[tuple[Any, Any]]) -> Ranges:
    sets = [_members(str(operation), argument) for operation, argument in items if str(operation) != "NEGATE"]
    if any(str(operation) == "NEGATE" for operation, _ in items):
        # what is excluded must be excluded in both readings: `[^\d]` is no digit of any alphabet
        return complement(union(*(_widest(str(operation), argument) for operation, argument in items)))
    return union(*sets)


def _members(operation: str, argument: Any) -> Ranges:
    if operation == "LITERAL":
        return normal([(argument, argument)])
    if operation == "RANGE":
        return normal([argument])
    return _category(str(argument), negative_side=False)


def _widest(operation: str, argument: Any) -> Ranges:
    if operation == "NEGATE":
        return ()
    return _category(str(argument), negative_side=True) if operation == "CATEGORY" else _members(operation, argument)


def _category(name: str, negative_side: bool) -> Ranges:
    """The characters that both readings count in; on the negative side, those that either does."""
    kind = name.removeprefix("CATEGORY_").removeprefix("NOT_")
    narrow = {"DIGIT": _DIGITS, "WORD": _WORD, "SPACE": _SPACE}[kind]
    if name.startswith("CATEGORY_NOT_"):
        return complement(narrow if negative_side else _anywhere(kind))
    return _anywhere(kind) if negative_side else narrow


@cache
def _anywhere(kind: str) -> Ranges:
    """The characters that some alphabet counts in."""
    if kind == "SPACE":
        return _SPACES_ANYWHERE
    every = "".join(map(chr, range(_FIRST_UNASSIGNED_PLANE)))  # surrogates are no letters
    found = re.finditer({"DIGIT": r"\d+", "WORD": r"\w+"}[kind], every)
    spans = [(ord(every[match.start()]), ord(every[match.end() - 1])) for match in found]
    return normal(spans)
