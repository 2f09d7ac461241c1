"""Rules as GBNF that llama.cpp takes: one rule a line, long repetitions in blocks, and the limits it must not meet.

llama.cpp writes a repetition out as rules, refuses more than 2,000 of them at a place and takes a bound above that for
none; here none is longer than 64, and longer ones are built of blocks of 64 and 4,096. It looks for left recursion
without remembering where it was, which can take for ever: `check_size` counts the steps beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator

from coalm_lite.grammar.charset import Ranges
from coalm_lite.grammar.ir import Chars, Choice, Expression, Literal, Ref, Repeat, Rules, Sequence, inside
from coalm_lite.grammar.syntax import quoted

BLOCK = 64
MOST_REPEATED = BLOCK**3
MOST_RULES = 40_000
MOST_STEPS = 2_000_000


def write_gbnf(rules: Rules) -> str:
    """GBNF of the rules, in their order."""
    return "".join(f"{name} ::= {body}\n" for name, body in _Writer(rules).lines())


class _Writer:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._extra: dict[str, str] = {}
        self._rule = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        for name, body in self._rules.items():
            self._rule, self._extra = name, {}
            yield name, self._text(body)
            yield from self._extra.items()

    def _text(self, expression: Expression) -> str:
        """The expression on the right of `::=`."""
        match expression:
            case Choice(options):
                return " | ".join(self._sequence(option) for option in options)
            case _:
                return self._sequence(expression)

    def _sequence(self, expression: Expression) -> str:
        if isinstance(expression, Sequence):
            return " ".join(self._atom(item) for item in expression.items) or '""'
        return self._atom(expression)

    def _atom(self, expression: Expression) -> str:
        """The expression as one thing that a repetition may follow."""
        match expression:
            case Literal(text):
                return quoted(text)
            case Chars(ranges):
                return char_class(ranges)
            case Ref(name):
                return name
            case Repeat(item, least, most):
                return self._repeat(item, least, most)
            case Sequence(()):
                return '""'
            case _:
                return f"( {self._text(expression)} )"

    def _repeat(self, item: Expression, least: int, most: int | None) -> str:
        mark = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
        if mark:
            return self._atom(item) + mark
        once = self._atom(item) if isinstance(item, (Literal, Chars, Ref)) else self._named("item", self._text(item))
        if most is None:
            return f"( {self._times(once, least)} {once}* )"
        if most <= BLOCK:
            return once + (f"{{{most}}}" if least == most else f"{{{least},{most}}}")
        parts = [self._times(once, least) if least else "", self._up_to(once, most - least) if most > least else ""]
        return f"( {' '.join(filter(None, parts))} )"

    def _named(self, kind: str, body: str) -> str:
        """The name of a further rule with this body."""
        for name, written in self._extra.items():
            if written == body:
                return name
        name = f"{self._rule}-{kind}{len(self._extra)}"
        while name in self._rules:
            name += "x"
        self._extra[name] = body
        return name

    def _times(self, once: str, count: int) -> str:
        if count <= BLOCK:
            return f"{once}{{{count}}}"
        blocks, rest = divmod(count, BLOCK)
        written = self._times(self._block(once), blocks)
        return f"{written} {self._times(once, rest)}" if rest else written

    def _block(self, once: str) -> str:
        return self._named("block", f"{once}{{{BLOCK}}}")

    def _up_to(self, once: str, count: int) -> str:
        if count <= BLOCK:
            return f"{once}{{0,{count}}}"
        blocks, rest = divmod(count, BLOCK)
        block = self._block(once)
        fewer = (
            f"{self._up_to(block, blocks - 1)} {once}{{0,{BLOCK - 1}}}" if blocks > 1 else f"{once}{{0,{BLOCK - 1}}}"
        )
        all_blocks = self._times(block, blocks) + (f" {once}{{0,{rest}}}" if rest else "")
        return f"( {fewer} | {all_blocks} )"


def char_class(ranges: Ranges) -> str:
    """A GBNF class of the characters."""
    return "[" + "".join(_in_class(low) if low == high else _range(low, high) for low, high in ranges) + "]"


def _range(low: int, high: int) -> str:
    return f"{_in_class(low)}{'-' if high > low + 1 else ''}{_in_class(high)}"


def _in_class(point: int) -> str:
    character = chr(point)
    if character in "[]\\-":
        return "\\" + character
    if character in "\t\n\r":
        return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}[character]
    if character != "^" and 0x20 <= point < 0x7F:
        return character
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"


def size_problem(rules: Rules) -> str:
    """Why llama.cpp should not be given these rules; "" if it may."""
    count = len(rules) + sum(_written_out(part) for body in rules.values() for part in inside(body))
    if count > MOST_RULES:
        return f"its grammar would have {count} rules, more than {MOST_RULES}"
    steps = _steps(rules)
    return f"llama.cpp would take {steps} steps to look at its grammar" if steps > MOST_STEPS else ""


def _written_out(expression: Expression) -> int:
    """About how many rules llama.cpp makes of one expression."""
    if isinstance(expression, Repeat):
        return min(expression.most or expression.least + 1, 4 * BLOCK)
    return 1 if isinstance(expression, Choice) else 0


def _steps(rules: Rules) -> int:
    """How many rules llama.cpp visits while it looks for left recursion: again for each place that starts with one."""
    empty = _may_be_empty(rules)
    firsts = {name: list(_first_references(body, empty)) for name, body in rules.items()}
    counted: dict[str, int] = {}
    open_rules: set[str] = set()
    waiting = list(rules)
    while waiting:
        name = waiting[-1]
        missing = [target for target in firsts[name] if target not in counted]
        if not missing:
            counted[waiting.pop()] = 1 + sum(counted[target] for target in firsts[name])
            open_rules.discard(name)
            continue
        open_rules.add(name)
        if not open_rules.isdisjoint(missing):
            raise ValueError(f"the rule {name} can start with itself")
        waiting.extend(dict.fromkeys(missing))
    return sum(counted.values())


def _may_be_empty(rules: Rules) -> set[str]:
    empty: set[str] = set()
    grown = True
    while grown:
        found = {name for name, body in rules.items() if name not in empty and _is_empty(body, empty)}
        empty |= found
        grown = bool(found)
    return empty


def _is_empty(expression: Expression, empty: set[str]) -> bool:
    match expression:
        case Ref(name):
            return name in empty
        case Repeat(item, least):
            return least == 0 or _is_empty(item, empty)
        case Sequence(items):
            return all(_is_empty(item, empty) for item in items)
        case Choice(options):
            return any(_is_empty(option, empty) for option in options)
        case _:
            return False


def _first_references(expression: Expression, empty: set[str]) -> Iterator[str]:
    match expression:
        case Ref(name):
            yield name
        case Repeat(item):
            yield from _first_references(item, empty)
        case Choice(options):
            for option in options:
                yield from _first_references(option, empty)
        case Sequence(items):
            for item in items:
                yield from _first_references(item, empty)
                if not _is_empty(item, empty):
                    return
        case _:
            return
