"""The rules' own automaton: what may come next after a text, without llama.cpp and without a vocabulary.

A `State` is immutable and shared: advancing gives another state, so a draft can branch off and be dropped. A state
holds a set of stacks, one a way to read the text so far; stacks share their tails, and states, steps and forced texts
are remembered, so that a text read before costs a dictionary look-up a character. Bytes may end inside a character.
Not covered: left-recursive rules (gbnf_writer.py refuses them), saying which tokens of a vocabulary may come.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from coalm_lite.grammar.charset import Ranges, contains, intersection
from coalm_lite.grammar.ending import Endings, plainest
from coalm_lite.grammar.ir import Chars, Choice, Expression, Literal, Ref, Repeat, Rules, Sequence

_REMEMBERED = 50_000  # states and stacks; then everything is forgotten and found again
_LONGEST_FORCED = 20_000
_DECODER = codecs.getincrementaldecoder("utf-8")
_LEAD_BITS = {2: 0x1F, 3: 0x0F, 4: 0x07}


class _Stack:
    """What is still to come: `top`, then `rest`; None stands for the end."""

    __slots__ = ("rest", "top")

    def __init__(self, top: Expression, rest: _Stack | None) -> None:
        self.top = top
        self.rest = rest


class State:
    """How far a text has come. `may_end`: whether it is complete as it stands."""

    __slots__ = ("_automaton", "_forced", "_next", "_pending", "_stacks", "may_end")

    def __init__(self, automaton: Automaton, stacks: frozenset[_Stack | None], pending: bytes = b"") -> None:
        self._automaton = automaton
        self._stacks = stacks
        self._next: dict[str, State | None] = {}
        self._forced: str | None = None
        self._pending = pending
        self.may_end = None in stacks and not pending

    def advance(self, text: str) -> State | None:
        """The state after `text` as well; None if no text of the grammar goes on so."""
        if self._pending:
            return self.advance_bytes(text.encode("utf-8", "surrogatepass"))
        state: State | None = self
        for character in text:
            known = state._next  # type: ignore[union-attr]  # the loop ends at None
            state = known[character] if character in known else state._step(character)  # type: ignore[union-attr]
            if state is None:
                return None
        return state

    def advance_bytes(self, data: bytes) -> State | None:
        """The state after these UTF-8 bytes, which may end inside a character; None as for `advance`."""
        if not self._pending and data.isascii():
            return self.advance(data.decode())
        decoder = _DECODER()
        try:
            text = decoder.decode(self._pending + data)
        except UnicodeDecodeError:
            return None
        whole = self if not self._pending else State(self._automaton, self._stacks)
        state = whole.advance(text)
        unfinished = decoder.getstate()[0]
        if state is None or not unfinished:
            return state
        points = _completions(unfinished)
        if not any(intersection(ranges, points) for ranges in state._choices()):
            return None
        return State(self._automaton, state._stacks, unfinished)

    def forced(self) -> str:
        """The text that must come next, as long as it is certain; "" where there is a choice or the text may end."""
        if self._forced is None:
            self._forced = self._certain()
        return self._forced

    def _certain(self) -> str:
        parts: list[str] = []
        state, length = self, 0
        while length < _LONGEST_FORCED and (part := state._only_text()):
            parts.append(part)
            length += len(part)
            following = state.advance(part)
            if following is None:
                raise AssertionError("what must come can come")
            state = following
        return "".join(parts)

    def _only_text(self) -> str:
        """The one character, or several, that alone can come next; "" if there is a choice."""
        if self._pending or None in self._stacks:
            return ""
        tops = [stack.top for stack in self._stacks if stack is not None]
        if len(tops) == 1 and isinstance(tops[0], Literal):
            return tops[0].text
        first = {_only_point(top) for top in tops}
        point = first.pop() if len(first) == 1 else None
        return "" if point is None else chr(point)

    @property
    def ending_bytes(self) -> int:
        """How many bytes the shortest text has that completes this one; 0 where it may end."""
        if self.may_end:
            return 0
        endings = self._automaton.endings
        if not self._pending:
            return min(map(endings.length, self._stacks))
        return min(len(first.encode()) + endings.length(rest) for first, rest in self._finishes()) - len(self._pending)

    def ending(self) -> bytes:
        """The shortest text that completes this one, always the same of several; b"" where it may end."""
        if self.may_end:
            return b""
        endings = self._automaton.endings
        if not self._pending:
            return endings.shortest(self._stacks).encode()
        whole = min(
            (first + endings.text(rest) for first, rest in self._finishes()),
            key=lambda text: (len(text.encode()), text),
        )
        return whole.encode()[len(self._pending) :]

    def _finishes(self) -> Iterator[tuple[str, _Stack | None]]:
        """The character that was begun, finished in each way to read the text, and what is to come then."""
        points = _completions(self._pending)
        for stack in self._stacks:
            if stack is None:
                continue
            top = stack.top
            ranges = intersection(top.ranges if isinstance(top, Chars) else _first_of(top), points)
            if ranges:
                rest = self._automaton.behind(top, stack.rest) if isinstance(top, Literal) else stack.rest
                yield plainest(ranges), rest

    def next_characters(self) -> list[Ranges]:
        """The sets of characters that may come next, one a way to read the text so far."""
        return [] if self._pending else list(self._choices())

    def _choices(self) -> Iterator[Ranges]:
        for stack in self._stacks:
            if stack is not None:
                top = stack.top
                yield top.ranges if isinstance(top, Chars) else _first_of(top)

    def _step(self, character: str) -> State | None:
        point = ord(character)
        after: list[_Stack | None] = []
        automaton = self._automaton
        for stack in self._stacks:
            if stack is None:
                continue
            top = stack.top
            if isinstance(top, Literal):
                if top.text[0] == character:
                    after.append(automaton.behind(top, stack.rest))
            elif isinstance(top, Chars) and contains(top.ranges, point):
                after.append(stack.rest)
        state = automaton.state(after) if after else None
        self._next[character] = state
        return state


def _first_of(top: Expression) -> Ranges:
    if not isinstance(top, Literal):
        raise AssertionError("a stack's top is a literal or a set")
    return ((ord(top.text[0]), ord(top.text[0])),)


def _only_point(top: Expression) -> int | None:
    if isinstance(top, Literal):
        return ord(top.text[0])
    ranges = top.ranges if isinstance(top, Chars) else ()
    return ranges[0][0] if len(ranges) == 1 and ranges[0][0] == ranges[0][1] else None


def _completions(unfinished: bytes) -> Ranges:
    """The characters whose UTF-8 starts with these bytes."""
    lead = unfinished[0]
    length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    value = lead & _LEAD_BITS[length]
    for byte in unfinished[1:]:
        value = value << 6 | byte & 0x3F
    missing = 6 * (length - len(unfinished))
    least = {2: 0x80, 3: 0x800, 4: 0x10000}[length]
    return ((max(value << missing, least), min((value + 1 << missing) - 1, 0x10FFFF)),)


class Automaton:
    """Rules ready to run, from the rule `root`."""

    def __init__(self, rules: Rules, root: str = "root") -> None:
        self._rules = rules
        self._root = Ref(root)
        self._begun: dict[Expression, tuple[tuple[Expression, ...], ...]] = {}
        self._endings: Endings | None = None
        self._forget()

    def _forget(self) -> None:
        self._stacks: dict[tuple[Expression, _Stack | None], _Stack] = {}
        self._tails: dict[str, Literal] = {}
        self._repeats: dict[tuple[Expression, int, int | None], Repeat] = {}
        self._opened: dict[_Stack | None, tuple[_Stack | None, ...]] = {}
        self._states: dict[frozenset[_Stack | None], State] = {}
        self._start: State | None = None
        if self._endings is not None:
            self._endings.forget()

    @property
    def endings(self) -> Endings:
        """The shortest texts of the rules, found when they are first asked for."""
        if self._endings is None:
            self._endings = Endings(self._rules)
        return self._endings

    @property
    def start(self) -> State:
        """The state before any text."""
        if self._start is None:
            self._start = self.state([self._push(self._root, None)])
        return self._start

    def state(self, stacks: Iterable[_Stack | None]) -> State:
        """The state of these stacks, each opened until a character is on top."""
        if len(self._states) + len(self._opened) > _REMEMBERED:
            self._forget()
        opened: set[_Stack | None] = set()
        for stack in stacks:
            known = self._opened.get(stack)
            opened.update(self._open(stack) if known is None else known)
        key = frozenset(opened)
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = State(self, key)
        return found

    def behind(self, literal: Literal, rest: _Stack | None) -> _Stack | None:
        """What is to come after a literal's first character."""
        tail = literal.text[1:]
        if not tail:
            return rest
        known = self._tails.get(tail)
        if known is None:
            known = self._tails[tail] = Literal(tail)
        return self._push(known, rest)

    def _push(self, top: Expression, rest: _Stack | None) -> _Stack:
        key = (top, rest)
        known = self._stacks.get(key)
        if known is None:
            known = self._stacks[key] = _Stack(top, rest)
        return known

    def _open(self, start: _Stack | None) -> tuple[_Stack | None, ...]:
        """The stacks that `start` stands for, each with a literal or a set on top, or None for the end."""
        seen: set[_Stack | None] = set()
        ready: list[_Stack | None] = []
        waiting = [start]
        while waiting:
            stack = waiting.pop()
            if stack in seen:
                continue
            seen.add(stack)
            if stack is None or isinstance(stack.top, (Literal, Chars)):
                ready.append(stack)
                continue
            top: Expression = stack.top
            rest = stack.rest
            if isinstance(top, Repeat):
                if top.least == 0:
                    waiting.append(rest)
                if top.most == 0:
                    continue
                rest, top = self._again(top, rest), top.item
            waiting.extend(self._onto(tail, rest) for tail in self._beginnings(top))
        self._opened[start] = found = tuple(ready)
        return found

    def _onto(self, items: tuple[Expression, ...], rest: _Stack | None) -> _Stack | None:
        for item in items:
            rest = self._push(item, rest)
        return rest

    def _beginnings(self, expression: Expression) -> tuple[tuple[Expression, ...], ...]:
        """What an expression stands for, whatever follows it: items from last to first, the first one to be read now.

        References, choices and sequences are opened; found once for each expression.
        """
        known = self._begun.get(expression)
        if known is None:
            known = self._begun[expression] = tuple(self._opened_out(expression))
        return known

    def _opened_out(self, expression: Expression) -> Iterator[tuple[Expression, ...]]:
        seen: set[tuple[Expression, ...]] = set()
        waiting: list[tuple[Expression, ...]] = [(expression,)]
        while waiting:
            items = waiting.pop()
            if items in seen:
                continue
            seen.add(items)
            rest, top = items[:-1], items[-1] if items else None
            match top:
                case Ref(name):
                    waiting.append((*rest, self._rules[name]))
                case Choice(options):
                    waiting.extend((*rest, option) for option in options)
                case Sequence(parts):
                    waiting.append((*rest, *reversed(parts)))
                case _:
                    yield items

    def _again(self, repeat: Repeat, rest: _Stack | None) -> _Stack | None:
        """What follows one more of a repetition's items."""
        if repeat.most == 1:
            return rest
        key = (repeat.item, max(repeat.least - 1, 0), None if repeat.most is None else repeat.most - 1)
        fewer = self._repeats.get(key)
        if fewer is None:
            fewer = self._repeats[key] = Repeat(*key)
        return self._push(fewer, rest)
