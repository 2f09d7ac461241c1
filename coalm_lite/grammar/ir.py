"""What a grammar is here, before it is GBNF: rules by name, made of a few kinds of expressions over code points.

Covers building (`choice`, `sequence`, `literals`), what a rule refers to, and `pruned`, which takes out whatever can
never be finished. Expressions are compared by identity. Not here: reading and writing GBNF (gbnf_reader.py,
gbnf_writer.py), running (automaton.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from coalm_lite.grammar.charset import Ranges, charset


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """Exactly this text, never empty."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Chars:
    """One character of the set, which may be empty."""

    ranges: Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """The items one after the other; without items, the empty text."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One of the options; without options, nothing at all."""

    options: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`item`, which is never empty text, `least` to `most` times; None: any number of times."""

    item: Expression
    least: int
    most: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Ref:
    """The rule of this name."""

    name: str


Expression: TypeAlias = Literal | Chars | Sequence | Choice | Repeat | Ref
Rules: TypeAlias = Mapping[str, Expression]

EMPTY = Sequence(())
NOTHING = Choice(())
DIGITS = Chars(charset("0123456789"))


def text(characters: str) -> Expression:
    """Exactly these characters, perhaps none."""
    return Literal(characters) if characters else EMPTY


def chars(*parts: str | tuple[int, int]) -> Chars:
    """One of the characters, which are given as strings and as ranges of code points."""
    return Chars(charset(*parts))


def sequence(*items: Expression) -> Expression:
    """The items in order; neighbouring literals become one."""
    flat: list[Expression] = []
    for item in items:
        for part in item.items if isinstance(item, Sequence) else (item,):
            if flat and isinstance(part, Literal) and isinstance(last := flat[-1], Literal):
                flat[-1] = Literal(last.text + part.text)
            else:
                flat.append(part)
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choice(options: Iterable[Expression]) -> Expression:
    """One of the options; nested choices are opened, and equal references and literals stand once."""
    flat: dict[object, Expression] = {}
    for option in options:
        for part in option.options if isinstance(option, Choice) else (option,):
            flat.setdefault(_likeness(part), part)
    if len(flat) == 1:
        return next(iter(flat.values()))
    return Choice(tuple(flat.values())) if flat else NOTHING


def _likeness(expression: Expression) -> object:
    match expression:
        case Ref(name):
            return "ref", name
        case Literal(characters):
            return "literal", characters
        case Sequence(()):
            return "empty"
        case _:
            return id(expression)


def optional(item: Expression) -> Expression:
    """`item` or the empty text."""
    return EMPTY if item is NOTHING else Repeat(item, 0, 1)


def literals(texts: Iterable[str]) -> Expression:
    """One of the texts, their common beginnings written once, so that reading forks as late as it can."""
    return branches(dict.fromkeys(texts, EMPTY))


def branches(after: Mapping[str, Expression]) -> Expression:
    """One of the texts and then what stands for it; common beginnings are written once."""
    groups: dict[str, dict[str, Expression]] = {}
    options: list[Expression] = []
    for characters, following in after.items():
        if characters:
            groups.setdefault(characters[0], {})[characters] = following
        else:
            options.append(following)
    for group in groups.values():
        common = _common_start(list(group))
        rest = {characters[len(common) :]: following for characters, following in group.items()}
        options.append(sequence(Literal(common), next(iter(rest.values())) if len(rest) == 1 else branches(rest)))
    return choice(options)


def _common_start(texts: list[str]) -> str:
    low, high = min(texts), max(texts)
    length = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:length]


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside this one."""
    match expression:
        case Sequence(items):
            return items
        case Choice(options):
            return options
        case Repeat(item):
            return (item,)
        case _:
            return ()


def inside(expression: Expression) -> Iterator[Expression]:
    """The expression and all inside it."""
    waiting = [expression]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(children(found))


def references(expression: Expression) -> set[str]:
    """The names of the rules that the expression refers to."""
    return {found.name for found in inside(expression) if isinstance(found, Ref)}


def pruned(rules: Rules, root: str) -> dict[str, Expression]:
    """The rules that `root` needs, without the options that no text can finish; no `root` if it has no text at all."""
    productive = _productive(_needed(rules, root))
    if root not in productive:
        return {}
    kept: dict[str, Expression] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = _without_dead(rules[name], productive)
            waiting.extend(references(kept[name]))
    return {name: kept[name] for name in rules if name in kept}


def _needed(rules: Rules, root: str) -> dict[str, Expression]:
    """The rules that `root` leads to."""
    found: dict[str, Expression] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = rules[name]
            waiting.extend(references(rules[name]))
    return found


def _productive(rules: Rules) -> set[str]:
    """The names of the rules with at least one text."""
    users: dict[str, list[str]] = {}
    for name, body in rules.items():
        for target in references(body):
            users.setdefault(target, []).append(name)
    productive: set[str] = set()
    waiting = list(rules)
    while waiting:
        name = waiting.pop()
        if name not in productive and name in rules and _can_finish(rules[name], productive):
            productive.add(name)
            waiting.extend(users.get(name, ()))
    return productive


def _can_finish(expression: Expression, productive: set[str]) -> bool:
    match expression:
        case Literal():
            return True
        case Chars(ranges):
            return bool(ranges)
        case Ref(name):
            return name in productive
        case Repeat(item, least):
            return least == 0 or _can_finish(item, productive)
        case Sequence(items):
            return all(_can_finish(item, productive) for item in items)
        case Choice(options):
            return any(_can_finish(option, productive) for option in options)


def _without_dead(expression: Expression, productive: set[str]) -> Expression:
    """The expression, which can finish, without its parts that cannot; itself where nothing is to be taken out."""
    match expression:
        case Choice(options):
            kept = [_without_dead(option, productive) for option in options if _can_finish(option, productive)]
            return expression if kept == list(options) else choice(kept)
        case Repeat(item, least, most):
            if not _can_finish(item, productive):
                return EMPTY
            living = _without_dead(item, productive)
            return expression if living is item else Repeat(living, least, most)
        case Sequence(items):
            parts = [_without_dead(item, productive) for item in items]
            return expression if parts == list(items) else sequence(*parts)
        case _:
            return expression
