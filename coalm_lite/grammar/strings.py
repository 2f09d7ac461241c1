"""Strings as a dialect writes them, from the language of their values: classes of characters with their escapes.

A string is accepted as `json.dumps(ensure_ascii=False)` or `repr` writes it. Where anything may follow (the value is
already certain to fit) the value files' own rules go on, which take every escape. Python strings come in both kinds of
quotes. `\\u` escapes are written for classes of up to `_MOST_RANGES` ranges.
"""

from __future__ import annotations

from collections.abc import Iterator

from coalm_lite.grammar import ir
from coalm_lite.grammar.charset import ALL, Ranges, charset, contains, difference, intersection
from coalm_lite.grammar.digits import fixed_width, hex_digits
from coalm_lite.grammar.regular import Dfa
from coalm_lite.grammar.syntax import Syntax

_MOST_RANGES = 64
_JSON_SHORT = {'"': '"', "\\": "\\", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_JSON_RAW = difference(ALL, charset((0, 0x1F), '"\\'))
_PYTHON_SHORT = {"\\": "\\", "\n": "n", "\r": "r", "\t": "t"}
_PYTHON_RAW = charset((0x20, 0x5B), (0x5D, 0x7E), (0xA0, 0x2027), (0x202A, 0xD7FF), (0xE000, 0x10FFFF))


class StringRules:
    """The rules of strings for one grammar, which share the classes of characters; new rules go into `rules`."""

    def __init__(self, syntax: Syntax, rules: dict[str, ir.Expression]) -> None:
        self._syntax = syntax
        self._rules = rules
        self._classes: dict[tuple[Ranges, str], ir.Expression] = {}
        self._added: dict[tuple[Dfa, str], ir.Expression] = {}

    def add(self, dfa: Dfa, rule: str, behind: ir.Expression = ir.EMPTY) -> ir.Expression:
        """Strings whose value the automaton accepts, quotes included, then `behind`; its rules are called RULE-..."""
        if self._syntax.name == "json":
            return ir.sequence(ir.Literal('"'), self._states(dfa, rule, '"', behind))
        return ir.choice(
            ir.sequence(ir.Literal(quote), self._states(dfa, rule + suffix, quote, behind))
            for quote, suffix in (("'", "-s"), ('"', "-d"))
        )

    def _states(self, dfa: Dfa, rule: str, quote: str, behind: ir.Expression) -> ir.Expression:
        """The string from its first character on; each state is a rule."""
        names = [f"{rule}-{state}" for state in range(len(dfa.steps))]
        for state, name in enumerate(names):
            if dfa.takes_all(state):
                self._rules[name] = ir.sequence(self._anything(quote), ir.Literal(quote), behind)
                continue
            ends = [ir.sequence(ir.Literal(quote), behind)] if dfa.accepting[state] else []
            steps = [
                ir.sequence(self.character(ranges, quote), ir.Ref(names[target]))
                for target, ranges in dfa.targets(state).items()
            ]
            self._rules[name] = ir.choice([*ends, *steps])
        return ir.Ref(names[0])

    def _anything(self, quote: str) -> ir.Expression:
        return ir.Repeat(ir.Ref(self._any_character(quote)), 0, None)

    def _any_character(self, quote: str) -> str:
        if self._syntax.name == "json":
            return "string-character"
        return "single-character" if quote == "'" else "double-character"

    def of_length(self, least: int, most: int | None, behind: ir.Expression = ir.EMPTY) -> ir.Expression:
        """Strings of `least` to `most` characters, then `behind`."""
        quotes = ['"'] if self._syntax.name == "json" else ["'", '"']
        items = {quote: ir.Repeat(ir.Ref(self._any_character(quote)), least, most) for quote in quotes}
        counted = {quote: ir.EMPTY if most == 0 else item for quote, item in items.items()}
        return ir.choice(ir.sequence(ir.Literal(q), item, ir.Literal(q), behind) for q, item in counted.items())

    def character(self, ranges: Ranges, quote: str) -> ir.Expression:
        """One character of the set as it is written inside these quotes."""
        key = (ranges, quote if self._syntax.name == "python" else "")
        if key not in self._classes:
            options = list(_json(ranges) if self._syntax.name == "json" else _python(ranges, quote))
            written = ir.choice(options)
            if not isinstance(written, ir.Chars):
                name = f"class-{len(self._classes)}"
                self._rules[name] = written
                written = ir.Ref(name)
            self._classes[key] = written
        return self._classes[key]


def _json(ranges: Ranges) -> Iterator[ir.Expression]:
    raw = intersection(ranges, _JSON_RAW)
    if raw:
        yield ir.Chars(raw)
    short = "".join(letter for character, letter in _JSON_SHORT.items() if contains(ranges, ord(character)))
    if short:
        yield ir.sequence(ir.Literal("\\"), ir.chars(short))
    controls = difference(intersection(ranges, ((0, 0x1F),)), charset("".join(_JSON_SHORT)))
    yield from _escapes(controls, "\\u00", 2)


def _python(ranges: Ranges, quote: str) -> Iterator[ir.Expression]:
    raw = difference(intersection(ranges, _PYTHON_RAW), charset(quote))
    if raw:
        yield ir.Chars(raw)
    short = {**_PYTHON_SHORT, quote: quote}
    letters = "".join(letter for character, letter in short.items() if contains(ranges, ord(character)))
    if letters:
        yield ir.sequence(ir.Literal("\\"), ir.chars(letters))
    bytes_alone = difference(intersection(ranges, ((0, 0x1F), (0x7F, 0xFF))), charset("".join(short)))
    yield from _escapes(bytes_alone, "\\x", 2)
    if len(ranges) <= _MOST_RANGES:
        yield from _escapes(intersection(ranges, ((0x100, 0xFFFF),)), "\\u", 4)
        yield from _escapes(intersection(ranges, ((0x10000, 0xFFFFF),)), "\\U000", 5)
        yield from _escapes(intersection(ranges, ((0x100000, 0x10FFFF),)), "\\U0010", 4, subtract=0x100000)


def _escapes(ranges: Ranges, start: str, width: int, subtract: int = 0) -> Iterator[ir.Expression]:
    written = [fixed_width(low - subtract, high - subtract, width, 16, hex_digits) for low, high in ranges]
    if written:
        yield ir.sequence(ir.Literal(start), ir.choice(written))
