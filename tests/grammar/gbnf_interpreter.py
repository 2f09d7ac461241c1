"""A small reader of GBNF, to check grammars without llama.cpp: does a text, or the start of one, belong to a grammar?

Covered: literals, classes, groups, alternatives, references, `? * + {m} {m,} {m,n}`, one rule a line, whole characters.
Not covered: rules over several lines, `.`, token rules, bytes. What it cannot read raises ValueError, and so do a
reference without a rule, a rule defined twice and a repetition that llama.cpp refuses or takes for endless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

_CHARACTER = r"\\U[0-9a-fA-F]{8}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[nrt\\\"\[\]-]|[^\\\n]"
_TOKEN = re.compile(
    rf"""(?P<literal>"(?:(?!")(?:{_CHARACTER}))*")
    |(?P<klass>\[(?:(?!\])(?:{_CHARACTER}))+\])
    |(?P<name>[a-zA-Z0-9-]+)
    |(?P<repeat>[?*+]|\{{\d+(?:,\d*)?\}})
    |(?P<mark>[|()])
    |(?P<space>[ \t]+)""",
    re.VERBOSE,
)
_LONGEST_REPETITION = 1999


@dataclass(frozen=True, eq=False)
class Characters:
    """One character inside, or with `negated` outside, the ranges."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def match(self, character: str) -> bool:
        return any(low <= ord(character) <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True, eq=False)
class Reference:
    """The rule called `name`."""

    name: str


@dataclass(frozen=True, eq=False)
class Choice:
    """One of the sequences."""

    alternatives: tuple[tuple[Element, ...], ...]


@dataclass(frozen=True)
class Repeat:
    """`item` from `least` to `most` times; None: any number of times."""

    item: Element
    least: int
    most: int | None


Element: TypeAlias = "Characters | Reference | Choice | Repeat"
Stack: TypeAlias = "tuple[Element, Stack] | None"  # what is still to come; None: the text may end here


class Grammar:
    """GBNF with the start rule `root`."""

    def __init__(self, text: str) -> None:
        self._rules: dict[str, Choice] = {}
        references = {"root"}
        for line in text.splitlines():
            references |= self._add(line)
        if not references <= self._rules.keys():
            raise ValueError(f"no rules are called {references - self._rules.keys()}")
        self.start = self._expand([(Reference("root"), None)])

    def _add(self, line: str) -> set[str]:
        """Reads one line; returns the names that it refers to."""
        if not line or line.startswith("#"):
            return set()
        name, found, body = line.partition(" ::= ")
        if not found or not re.fullmatch(r"[a-zA-Z0-9-]+", name) or name in self._rules:
            raise ValueError(f"not a new rule: {line!r}")
        reader = _Reader(body)
        self._rules[name] = reader.choice()
        if reader.tokens:
            raise ValueError(f"{name}: unexpected {reader.tokens[0][1]!r}")
        return reader.references

    def accepts(self, text: str) -> bool:
        """Whether `text` belongs to the grammar."""
        return None in self.after(text)

    def viable(self, prefix: str) -> bool:
        """Whether some text of the grammar starts with `prefix`."""
        return bool(self.after(prefix))

    def after(self, text: str) -> frozenset[Stack]:
        """What may come after `text`: one stack a way to read it."""
        stacks = self.start
        for character in text:
            stacks = self.advance(stacks, character)
        return stacks

    def advance(self, stacks: frozenset[Stack], character: str) -> frozenset[Stack]:
        """The stacks after one more character."""
        tops = (stack for stack in stacks if stack is not None)
        return self._expand([rest for top, rest in tops if isinstance(top, Characters) and top.match(character)])

    def _expand(self, todo: list[Stack]) -> frozenset[Stack]:
        """The same continuations, each with a character class on top (or nothing)."""
        seen: set[Stack] = set()
        while todo:
            stack = todo.pop()
            if stack in seen:
                continue
            seen.add(stack)
            if stack is not None and not isinstance(stack[0], Characters):
                todo.extend(self._unfold(stack[0], stack[1]))
        return frozenset(stack for stack in seen if stack is None or isinstance(stack[0], Characters))

    def _unfold(self, top: Reference | Choice | Repeat, rest: Stack) -> Iterator[Stack]:
        if isinstance(top, Reference):
            yield (self._rules[top.name], rest)
        elif isinstance(top, Choice):
            for sequence in top.alternatives:
                stack = rest
                for element in reversed(sequence):
                    stack = (element, stack)
                yield stack
        else:
            if top.least == 0:
                yield rest
            if top.most is None or top.most > 0:
                most = None if top.most is None else top.most - 1
                yield (top.item, (Repeat(top.item, max(top.least - 1, 0), most), rest))


class _Reader:
    """Reads one rule's body."""

    def __init__(self, body: str) -> None:
        self.tokens = _tokens(body)
        self.references: set[str] = set()

    def choice(self) -> Choice:
        sequences = [self._sequence()]
        while self.tokens and self.tokens[0] == ("mark", "|"):
            self.tokens.pop(0)
            sequences.append(self._sequence())
        return Choice(tuple(sequences))

    def _sequence(self) -> tuple[Element, ...]:
        elements: list[Element] = []
        while self.tokens and self.tokens[0] not in (("mark", "|"), ("mark", ")")):
            kind, text = self.tokens.pop(0)
            if kind == "repeat":
                elements[-1] = _repeat(elements[-1], text)
            elif kind == "literal":
                points = [_code_point(part) for part in re.findall(_CHARACTER, text[1:-1])]
                elements.append(Choice((tuple(Characters(((point, point),)) for point in points),)))
            elif kind == "klass":
                elements.append(_class(text[1:-1]))
            elif kind == "name":
                self.references.add(text)
                elements.append(Reference(text))
            else:
                elements.append(self.choice())
                if not self.tokens or self.tokens.pop(0) != ("mark", ")"):
                    raise ValueError("a group is not closed")
        return tuple(elements)


def _tokens(body: str) -> list[tuple[str, str]]:
    found = list(_TOKEN.finditer(body))
    if "".join(match[0] for match in found) != body:
        raise ValueError(f"cannot read {body!r}")
    return [(str(match.lastgroup), match[0]) for match in found if match.lastgroup != "space"]


def _code_point(part: str) -> int:
    if part[0] != "\\":
        return ord(part)
    return int(part[2:], 16) if part[1] in "xuU" else ord({"n": "\n", "r": "\r", "t": "\t"}.get(part[1], part[1]))


def _class(text: str) -> Characters:
    parts = re.findall(rf"({_CHARACTER})(?:-({_CHARACTER}))?", text.removeprefix("^"))
    ranges = tuple((_code_point(low), _code_point(high or low)) for low, high in parts)
    return Characters(ranges, negated=text.startswith("^"))


def _repeat(item: Element, text: str) -> Repeat:
    braces = {"?": "{0,1}", "*": "{0,}", "+": "{1,}"}.get(text, text)
    least, comma, most = braces[1:-1].partition(",")
    if max(int(least), int(most or 0)) > _LONGEST_REPETITION:
        raise ValueError(f"llama.cpp does not hold the repetition {text}")
    return Repeat(item, int(least), int(most) if most else None if comma else int(least))
