"""The shortest text that completes one begun, in bytes: for an answer that is to be valid within so many tokens.

What a stack still wants is read one after the other, so its shortest text is the shortest ones of its parts together;
those of the rules are found once, all together (a rule is looked at again when one that it refers to became shorter;
recursion needs no bound). Of equally short texts always the same one. Any character of a set would do: full stops,
digits and letters are taken first, white space last. Not covered: which ending is the likeliest, the fewest tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from coalm_lite.grammar.charset import Ranges, contains
from coalm_lite.grammar.ir import Chars, Choice, Expression, Literal, Ref, Repeat, Rules, Sequence, references

_PLAIN = ".0123456789nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UNKNOWN = 1 << 60  # longer than any text: a rule none of whose texts was found yet


class Stack(Protocol):
    """What is still to come: `top`, then `rest`; None stands for the end."""

    @property
    def top(self) -> Expression: ...

    @property
    def rest(self) -> Stack | None: ...


class Endings:
    """The shortest texts of `rules`, each of which has one, and of stacks over them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._of_rules: dict[str, int] = {}
        self._lengths: dict[Expression, int] = {}  # of expressions, once those of all rules are known
        self._of_stacks: dict[Stack, int] = {}
        self._find_rules()

    def forget(self) -> None:
        """Drop what is remembered of stacks and of the expressions on them."""
        self._lengths.clear()
        self._of_stacks.clear()

    def _find_rules(self) -> None:
        users: dict[str, list[str]] = {}
        for name, body in self._rules.items():
            for target in references(body):
                users.setdefault(target, []).append(name)
        waiting = deque(self._rules)
        queued = set(self._rules)
        while waiting:
            name = waiting.popleft()
            queued.discard(name)
            length = self._measured(self._rules[name])
            if length < self._of_rules.get(name, _UNKNOWN):
                self._of_rules[name] = length
                changed = [user for user in users.get(name, ()) if user not in queued]
                waiting.extend(changed)
                queued.update(changed)

    def _measured(self, expression: Expression) -> int:
        match expression:
            case Literal(text):
                return len(text.encode())
            case Chars(ranges):
                return len(plainest(ranges).encode())
            case Ref(name):
                return self._of_rules.get(name, _UNKNOWN)
            case Repeat(item, least):
                return least and min(least * self._measured(item), _UNKNOWN)
            case Sequence(items):
                return min(sum(map(self._measured, items)), _UNKNOWN)
            case Choice(options):
                return min(map(self._measured, options))

    def _length(self, expression: Expression) -> int:
        known = self._lengths.get(expression)
        if known is None:
            known = self._lengths[expression] = self._measured(expression)
        return known

    def length(self, stack: Stack | None) -> int:
        """How many bytes complete what the stack wants."""
        above: list[Stack] = []
        while stack is not None and stack not in self._of_stacks:
            above.append(stack)
            stack = stack.rest
        length = 0 if stack is None else self._of_stacks[stack]
        for each in reversed(above):
            length = self._of_stacks[each] = length + self._length(each.top)
        return length

    def text(self, stack: Stack | None) -> str:
        """The shortest text of what the stack wants."""
        items: list[Expression] = []
        while stack is not None:
            items.append(stack.top)
            stack = stack.rest
        return self._written(items)

    def shortest(self, stacks: Iterable[Stack | None]) -> str:
        """The shortest text that one of the stacks wants."""
        found = [*stacks]
        least = min(map(self.length, found))
        return min(self.text(stack) for stack in found if self.length(stack) == least)

    def _written(self, items: list[Expression]) -> str:
        """The shortest texts one after the other; no recursion, for rules may refer on thousands deep."""
        parts: list[str] = []
        waiting = items[::-1]
        while waiting:
            match waiting.pop():
                case Literal(text):
                    parts.append(text)
                case Chars(ranges):
                    parts.append(plainest(ranges))
                case Ref(name):
                    waiting.append(self._rules[name])
                case Repeat(item, least):
                    waiting.extend([item] * least)
                case Sequence(inner):
                    waiting.extend(reversed(inner))
                case Choice(options):
                    waiting.append(min(options, key=self._length))
        return "".join(parts)


def plainest(ranges: Ranges) -> str:
    """A character of the set, which is not empty: one that reads well if there is one, else the shortest in UTF-8."""
    for character in _PLAIN:
        if contains(ranges, ord(character)):
            return character
    visible = next((max(low, 0x21) for low, high in ranges if high > 0x20), ranges[0][0])
    return chr(visible)
