"""Regular languages: deterministic automata over characters, for what needs "and" and "not".

Covers making one of an expression without references (`dfa_of`), of what is not in a list (`but_not`), of a length
(`lengths`), and `combined` (and, not). States are bounded by `MOST_STATES`: TooLargeError beyond. A pattern may have
`Anchor`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

from coalm_lite.grammar import ir
from coalm_lite.grammar.charset import ALL, Ranges, charset, complement, intersection, partition, union

MOST_STATES = 1500
_MOST_PARTS = 6000


class TooLargeError(Exception):
    """The language needs more states than are allowed; whoever asked holds it in another way."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """The empty text, at the start or at the end of the whole text only."""

    at_end: bool


Pattern: TypeAlias = ir.Expression | Anchor


@dataclass(frozen=True, slots=True)
class Dfa:
    """`steps[state][k]` is the state after a character of `classes[k]`, None if none; the start state is 0.

    Every state but the start leads to an accepting one.
    """

    classes: tuple[Ranges, ...]
    steps: tuple[tuple[int | None, ...], ...]
    accepting: tuple[bool, ...]

    @property
    def is_empty(self) -> bool:
        return not any(self.accepting)

    def accepts(self, text: str) -> bool:
        """Whether the text belongs to the language."""
        state: int | None = 0
        for character in text:
            point = ord(character)
            at = next((k for k, held in enumerate(self.classes) if any(a <= point <= b for a, b in held)), None)
            state = None if at is None or state is None else self.steps[state][at]
        return state is not None and self.accepting[state]

    def targets(self, state: int) -> dict[int, Ranges]:
        """The states after one more character, each with the characters that lead there."""
        found: dict[int, list[Ranges]] = {}
        for ranges, target in zip(self.classes, self.steps[state], strict=True):
            if target is not None:
                found.setdefault(target, []).append(ranges)
        return {target: union(*sets) for target, sets in found.items()}

    def takes_all(self, state: int) -> bool:
        """Whether any text at all may follow in this state."""
        return self.accepting[state] and self.targets(state) == {state: ALL}


def dfa_of(pattern: Pattern, search: bool = False) -> Dfa:
    """The texts of the pattern; with `search`, the texts that have one of them inside."""
    nfa = _Nfa()
    start, end = nfa.new(), nfa.new()
    nfa.add(pattern, start, end)
    if search:
        nfa.steps[start].append((ALL, start))
        nfa.absorbing = end
    return _determined(nfa, start, end)


class _Nfa:
    """States with steps over sets of characters and free steps, some of these at the start or the end only."""

    def __init__(self) -> None:
        self.steps: list[list[tuple[Ranges, int]]] = []
        self.free: list[list[tuple[str, int]]] = []
        self.absorbing: int | None = None

    def new(self) -> int:
        if len(self.steps) >= _MOST_PARTS:
            raise TooLargeError
        self.steps.append([])
        self.free.append([])
        return len(self.steps) - 1

    def add(self, pattern: Pattern, start: int, end: int) -> None:
        """Ways from `start` to `end` that read the pattern."""
        match pattern:
            case ir.Chars(ranges):
                self.steps[start].append((ranges, end))
            case ir.Literal(text):
                self._chain([ir.chars(character) for character in text], start, end)
            case ir.Sequence(items):
                self._chain(list(items), start, end)
            case ir.Choice(options):
                for option in options:
                    self.add(option, start, end)
            case ir.Repeat(item, least, most):
                self._repeat(item, least, most, start, end)
            case Anchor(at_end):
                self.free[start].append(("end" if at_end else "start", end))
            case ir.Ref(name):
                raise ValueError(f"{name}: a rule is not regular")

    def _chain(self, items: Sequence[Pattern], start: int, end: int) -> None:
        for item in items[:-1]:
            middle = self.new()
            self.add(item, start, middle)
            start = middle
        if items:
            self.add(items[-1], start, end)
        else:
            self.free[start].append(("", end))

    def _repeat(self, item: Pattern, least: int, most: int | None, start: int, end: int) -> None:
        for _ in range(least):
            start = self._one_more(item, start)
        if most is None:
            loop = self.new()
            self.free[start].append(("", loop))
            self.add(item, loop, loop)
            start = loop
        for _ in range(0 if most is None else most - least):
            self.free[start].append(("", end))
            start = self._one_more(item, start)
        self.free[start].append(("", end))

    def _one_more(self, item: Pattern, start: int) -> int:
        middle = self.new()
        self.add(item, start, middle)
        return middle

    def closure(self, states: Iterable[int], *allowed: str) -> frozenset[int]:
        """The states and what free steps of the allowed kinds reach; only the absorbing one if it is among them."""
        seen: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state not in seen:
                seen.add(state)
                waiting.extend(target for kind, target in self.free[state] if not kind or kind in allowed)
        return frozenset([self.absorbing]) if self.absorbing in seen else frozenset(seen)


def _determined(nfa: _Nfa, start: int, end: int) -> Dfa:
    """The subset construction."""
    if nfa.absorbing is not None:
        nfa.steps[nfa.absorbing] = [(ALL, nfa.absorbing)]
    sets = [ranges for steps in nfa.steps for ranges, _ in steps]
    classes = partition(dict.fromkeys(sets))
    index = {ranges: at for at, ranges in enumerate(dict.fromkeys(sets))}
    holding: list[list[int]] = [[] for _ in index]
    for at, (_, held) in enumerate(classes):
        for one in held:
            holding[one].append(at)
    first = nfa.closure([start], "start")
    numbers, waiting = {first: 0}, [first]
    steps: list[tuple[int | None, ...]] = []
    for found in waiting:
        if len(waiting) > MOST_STATES:
            raise TooLargeError
        targets: list[set[int]] = [set() for _ in classes]
        for state in found:
            for ranges, target in nfa.steps[state]:
                for at in holding[index[ranges]]:
                    targets[at].add(target)
        row: list[int | None] = []
        for kernel in targets:
            closed = nfa.closure(kernel) if kernel else None
            if closed is not None and closed not in numbers:
                numbers[closed] = len(numbers)
                waiting.append(closed)
            row.append(None if closed is None else numbers[closed])
        steps.append(tuple(row))
    # the start state alone may use both kinds of anchors; it is never entered again with them
    accepting = [end in nfa.closure(found, "end", *(["start"] if at == 0 else [])) for at, found in enumerate(waiting)]
    return _trimmed([ranges for ranges, _ in classes], steps, accepting)


def _trimmed(classes: Sequence[Ranges], steps: Sequence[tuple[int | None, ...]], accepting: Sequence[bool]) -> Dfa:
    """The automaton without states that lead to no accepting one."""
    before: list[list[int]] = [[] for _ in steps]
    for state, row in enumerate(steps):
        for target in row:
            if target is not None:
                before[target].append(state)
    living = {state for state, is_accepting in enumerate(accepting) if is_accepting}
    waiting = list(living)
    while waiting:
        for state in before[waiting.pop()]:
            if state not in living:
                living.add(state)
                waiting.append(state)
    numbers: dict[int | None, int] = {state: at for at, state in enumerate(sorted(living | {0}))}
    kept = [
        tuple(numbers.get(target) if target in living else None for target in steps[state])
        for state in sorted(living | {0})
    ]
    return Dfa(tuple(classes), tuple(kept), tuple(accepting[state] for state in sorted(living | {0})))


def combined(automata: Sequence[Dfa], wanted: Callable[[tuple[bool, ...]], bool]) -> Dfa:
    """The texts for which `wanted` holds of which automata accept them."""
    alphabets: list[_Symbols] = [[(held, (at,)) for at, held in enumerate((*a.classes, _rest(a)))] for a in automata]
    classes = reduce(_refined, alphabets)
    first: tuple[int | None, ...] = (0,) * len(automata)
    numbers, waiting = {first: 0}, [first]
    steps: list[tuple[int | None, ...]] = []
    for found in waiting:
        if len(waiting) > MOST_STATES:
            raise TooLargeError
        row: list[int | None] = []
        for _, symbols in classes:
            target = tuple(_after(a, s, k) for a, s, k in zip(automata, found, symbols, strict=True))
            if target not in numbers:
                numbers[target] = len(numbers)
                waiting.append(target)
            row.append(numbers[target])
        steps.append(tuple(row))
    accepting = [
        wanted(tuple(s is not None and a.accepting[s] for a, s in zip(automata, found, strict=True)))
        for found in waiting
    ]
    return _trimmed([ranges for ranges, _ in classes], steps, accepting)


def _after(dfa: Dfa, state: int | None, symbol: int) -> int | None:
    return None if state is None or symbol == len(dfa.classes) else dfa.steps[state][symbol]


def _rest(dfa: Dfa) -> Ranges:
    """The characters that are in no class."""
    return partition([union(*dfa.classes)] if dfa.classes else [])[0][0] if not _covers_all(dfa) else ()


def _covers_all(dfa: Dfa) -> bool:
    return bool(dfa.classes) and union(*dfa.classes) == ALL


_Symbols: TypeAlias = list[tuple[Ranges, tuple[int, ...]]]


def _refined(left: _Symbols, right: _Symbols) -> _Symbols:
    pairs = [(intersection(a, b), (*m, *n)) for a, m in left for b, n in right]
    return [(ranges, symbols) for ranges, symbols in pairs if ranges]


def all_of(automata: Sequence[Dfa]) -> Dfa:
    """The texts that every one accepts."""
    return automata[0] if len(automata) == 1 else combined(automata, all)


def lengths(least: int, most: int | None) -> Dfa:
    """The texts of `least` to `most` characters."""
    if max(least, most or 0) >= MOST_STATES:
        raise TooLargeError
    count = least if most is None else most
    steps = [(state + 1,) for state in range(count)]
    last: tuple[int | None, ...] = (count,) if most is None else (None,)
    return Dfa((ALL,), (*steps, last), tuple(state >= least for state in range(count + 1)))


def but_not(texts: Iterable[str]) -> Dfa:
    """Every text except these."""
    nodes: list[dict[str, int]] = [{}]
    ends: set[int] = set()
    for text in texts:
        at = 0
        for character in text:
            if character not in nodes[at]:
                nodes[at][character] = len(nodes)
                nodes.append({})
            at = nodes[at][character]
        ends.add(at)
    if len(nodes) >= MOST_STATES:
        raise TooLargeError
    characters = sorted({character for node in nodes for character in node})
    elsewhere = len(nodes)
    rows: list[tuple[int | None, ...]] = [(*(node.get(c, elsewhere) for c in characters), elsewhere) for node in nodes]
    classes = (*(charset(character) for character in characters), complement(charset(*characters)))
    accepting = (*(at not in ends for at in range(elsewhere)), True)
    return Dfa(classes, (*rows, (elsewhere,) * len(classes)), accepting)
