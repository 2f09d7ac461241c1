"""Strings and numbers of a place: lengths, patterns, formats and bounds of all its parts together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from coalm_lite.grammar import ir
from coalm_lite.grammar.check import known_formats
from coalm_lite.grammar.formats import FORMATS
from coalm_lite.grammar.gbnf_writer import MOST_REPEATED
from coalm_lite.grammar.keywords import How
from coalm_lite.grammar.numbers import Bounds, decimals, integers
from coalm_lite.grammar.parts import Part
from coalm_lite.grammar.patterns import UnheldError, pattern_dfa
from coalm_lite.grammar.regular import Dfa, TooLargeError, all_of, lengths

if TYPE_CHECKING:
    from coalm_lite.grammar.schema import Compiler

_LARGEST_BOUND = 10**300
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def string(compiler: Compiler, parts: Sequence[Part], rule: str) -> ir.Expression:
    """The strings that fit all parts."""
    patterns = [pattern for part in parts for pattern in (*_pattern(compiler, part), *_format(compiler, part))]
    least, most = count_range(compiler, parts, "minLength", "maxLength")
    if most is not None and least > most:
        return compiler.nothing(parts, "maxLength", "is less than minLength")
    if not patterns:
        return ir.Ref("string") if least == 0 and most is None else compiler.strings.of_length(least, most)
    try:
        dfa = _texts(tuple(dict.fromkeys(patterns)), least, most)
    except TooLargeError:
        dfa = pattern_dfa(patterns[0])
        _leave_to_check(compiler, parts, ("minLength", "maxLength"))
        if len(patterns) > 1:
            _leave_to_check(compiler, parts, ("pattern", "format"))
    if dfa.is_empty:
        return compiler.nothing(parts, "pattern", "allows no text here")
    return compiler.strings.add(dfa, rule)


def _leave_to_check(compiler: Compiler, parts: Iterable[Part], keywords: Sequence[str]) -> None:
    for part in parts:
        for keyword in keywords:
            if part.has(keyword):
                compiler.document.hold(part, keyword, "check", "too many states together")


@lru_cache(maxsize=256)
def _texts(patterns: tuple[str, ...], least: int, most: int | None) -> Dfa:
    counted = [] if least == 0 and most is None else [lengths(least, most)]
    return all_of([*map(pattern_dfa, patterns), *counted])


def _pattern(compiler: Compiler, part: Part) -> list[str]:
    """The part's pattern, if the rules can hold it."""
    pattern = part.get("pattern")
    return [pattern] if isinstance(pattern, str) and holds(compiler, part, "pattern", pattern) else []


def holds(compiler: Compiler, part: Part, keyword: str, pattern: str) -> bool:
    """Whether the rules can hold the pattern; noted as checked if not, refused if nothing can read it."""
    try:
        re.compile(pattern)
        pattern_dfa(pattern)
    except UnheldError as error:
        compiler.document.hold(part, keyword, "check", f"{error} is beyond a grammar")
        return False
    except TooLargeError:
        compiler.document.hold(part, keyword, "check", "too many states")
        return False
    except (re.error, OverflowError, RecursionError) as error:
        compiler.document.refuse(part.pointer, keyword, f"{pattern!r} cannot be read: {error}", "Correct the pattern.")
    return True


def _format(compiler: Compiler, part: Part) -> list[str]:
    name = part.get("format")
    if not isinstance(name, str):
        return []
    if name in FORMATS:
        return [FORMATS[name]]
    how: How = "check" if name in known_formats() else "annotation"
    compiler.document.hold(part, "format", how, "" if how == "check" else f"{name!r} is unknown here")
    return []


def count_range(
    compiler: Compiler, parts: Iterable[Part], least_keyword: str, most_keyword: str
) -> tuple[int, int | None]:
    """The counts that all parts allow, as far as rules can count; what is beyond is checked."""
    least, most = 0, None
    for part in parts:
        for keyword in (least_keyword, most_keyword):
            value = part.get(keyword)
            if not isinstance(value, (int, float)):
                continue
            count = int(value)
            if count > MOST_REPEATED:
                compiler.document.hold(part, keyword, "check", f"rules count to {MOST_REPEATED}")
                count = MOST_REPEATED if keyword == least_keyword else -1
            if keyword == least_keyword:
                least = max(least, count)
            elif count >= 0:
                most = count if most is None else min(most, count)
    return least, most


def number(compiler: Compiler, parts: Sequence[Part], rule: str, *, whole: bool) -> ir.Expression:
    """The numbers, or with `whole` the integers, that fit all parts."""
    bounds = Bounds()
    for part in parts:
        for keyword in _BOUNDS:
            bounds = bounds.narrowed(_bound(compiler, part, keyword))
    if bounds.are_none:
        return ir.Ref("integer" if whole else "number")
    options = [integers(bounds)]
    for sign, dfa in () if whole else decimals(bounds):
        name = f"{rule}-{'minus' if sign else 'plus'}"
        options.append(ir.sequence(ir.text(sign), plain_rules(compiler, dfa, name)))
    written = ir.choice(options)
    return compiler.nothing(parts, "maximum", "leaves no number") if written is ir.NOTHING or not options else written


def _bound(compiler: Compiler, part: Part, keyword: str) -> Bounds:
    value = part.get(keyword)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return Bounds()
    if abs(value) >= _LARGEST_BOUND:
        compiler.document.hold(part, keyword, "check", "too many digits")
        return Bounds()
    outside = keyword.startswith("exclusive")
    if keyword in ("minimum", "exclusiveMinimum"):
        return Bounds(least=value, above=outside)
    return Bounds(most=value, below=outside)


def plain_rules(compiler: Compiler, dfa: Dfa, rule: str) -> ir.Expression:
    """The automaton's texts as rules, one a state."""
    for state in range(len(dfa.steps)):
        steps = [
            ir.sequence(ir.Chars(ranges), ir.Ref(f"{rule}-{target}")) for target, ranges in dfa.targets(state).items()
        ]
        compiler.rules[f"{rule}-{state}"] = ir.choice([*([ir.EMPTY] if dfa.accepting[state] else []), *steps])
    return ir.Ref(f"{rule}-0")
