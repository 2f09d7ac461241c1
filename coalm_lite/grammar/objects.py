"""Objects of a place: the named members in order, then further ones, whose names can be none of the named.

Which schema a member has follows each part for itself, as JSON Schema says: the part's `properties`, and its
`patternProperties` that match the name, and its `additionalProperties` where neither speaks of it. The same member
cannot come twice, except a further one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from coalm_lite.grammar import ir
from coalm_lite.grammar.parts import Held, Part
from coalm_lite.grammar.patterns import pattern_dfa
from coalm_lite.grammar.regular import Dfa, TooLargeError, but_not, combined, dfa_of
from coalm_lite.grammar.scalars import holds

if TYPE_CHECKING:
    from coalm_lite.grammar.schema import Compiler

_COMMA = ir.Literal(", ")
_MOST_PATTERNS = 3
_PARAMETER = re.compile(r"[^\W\d]\w*")
_PARAMETER_NAME = ir.sequence(
    ir.chars((0x41, 0x5A), (0x61, 0x7A), "_"),
    ir.Repeat(ir.chars((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), "_"), 0, None),
)


@dataclass(frozen=True, slots=True)
class _Object:
    """One place's object. `bare`: a call's keyword arguments; `closed`: only the named members, where there are any."""

    compiler: Compiler
    parts: Sequence[Part]
    rule: str
    bare: bool
    closed: bool
    is_call: bool

    def names(self) -> dict[str, bool]:
        """The named members in order, and which are required."""
        found: dict[str, bool] = {}
        for part in self.parts:
            properties = part.get("properties")
            found.update((name, False) for name in (properties if isinstance(properties, dict) else ()))
        for part in self.parts:
            required = part.get("required")
            found.update((str(name), True) for name in (required if isinstance(required, list) else ()))
        return found

    def patterns(self) -> list[tuple[Part, str]]:
        """The patterns of `patternProperties` that the rules can hold; the others are checked."""
        found: list[tuple[Part, str]] = []
        for part in self.parts:
            patterns = part.get("patternProperties")
            for pattern in patterns if isinstance(patterns, dict) else ():
                if holds(self.compiler, part, "patternProperties", pattern):
                    found.append((part, pattern))
        if len(found) > _MOST_PATTERNS:
            for part, _ in found:
                self.compiler.document.hold(part, "patternProperties", "check", "too many patterns")
        return found

    def note(self, keyword: str, part: Part, note: str) -> None:
        """Says more of how the grammar holds a keyword of the part."""
        if part.has(keyword):
            self.compiler.document.held[part.pointer, keyword] = Held(
                self.compiler.document.name, part.pointer, keyword, "grammar", note
            )

    def is_checked(self) -> bool:
        """Whether some pattern is left to the check, so that the rules must allow any further member."""
        held = self.compiler.document.held
        places = ((part.pointer, "patternProperties") for part in self.parts if part.has("patternProperties"))
        return any(place in held and held[place].how == "check" for place in places)

    def member(self, name: str) -> tuple[Part, ...]:
        """What must hold for the member of this name."""
        found: list[Part | None] = []
        for part in self.parts:
            found.extend(self._own(part, name))
        return tuple(part for part in found if part is not None)

    def _own(self, part: Part, name: str) -> Iterator[Part | None]:
        document = self.compiler.document
        properties, patterns = part.get("properties"), part.get("patternProperties")
        spoken = False
        if isinstance(properties, dict) and name in properties:
            spoken = True
            yield document.part(properties[name], part, "properties", name)
        for pattern, schema in patterns.items() if isinstance(patterns, dict) else ():
            if re.search(pattern, name):
                spoken = True
                yield document.part(schema, part, "patternProperties", pattern)
        if not spoken and part.has("additionalProperties") and not self.is_checked():
            yield document.part(part.get("additionalProperties"), part, "additionalProperties")

    def others(self, matched: frozenset[tuple[Part, str]], patterns: Sequence[tuple[Part, str]]) -> tuple[Part, ...]:
        """What must hold for a further member whose name matches these patterns alone."""
        found: list[Part | None] = []
        for part in self.parts:
            own = [pattern for owner, pattern in patterns if owner is part and (owner, pattern) in matched]
            schemas = part.get("patternProperties")
            if isinstance(schemas, dict):
                found.extend(self.compiler.document.part(schemas[one], part, "patternProperties", one) for one in own)
            if not own and part.has("additionalProperties"):
                found.append(
                    self.compiler.document.part(part.get("additionalProperties"), part, "additionalProperties")
                )
        return tuple(part for part in found if part is not None)

    def allows_others(self, names: dict[str, bool]) -> bool:
        """Whether members may come that match no pattern."""
        if any(part.has("additionalProperties") for part in self.parts):
            return True
        is_listed = bool(names) or self.is_call or any(part.has("patternProperties") for part in self.parts)
        return not (self.closed and is_listed)


def members(
    compiler: Compiler, parts: Sequence[Part], rule: str, *, is_call: bool = False, closed: bool = False
) -> ir.Expression:
    """The members of the objects that fit all parts, without braces; `is_call`: a call's arguments, all named."""
    bare = is_call and compiler.syntax.keyword_arguments
    place = _Object(compiler, parts, rule, bare, closed, is_call)
    names = place.names()
    written = [
        (ir.sequence(_key(place, name), compiler.value(place.member(name), f"{rule}-{at}")), required)
        for at, (name, required) in enumerate(names.items())
    ]
    further = ir.choice(_further(place, names))
    if further is not ir.NOTHING and further.__class__ is not ir.Ref:
        compiler.rules[f"{rule}-more"] = further
        further = ir.Ref(f"{rule}-more")
    return _in_order(compiler, written, further, rule)


def _in_order(
    compiler: Compiler, written: list[tuple[ir.Expression, bool]], further: ir.Expression, rule: str
) -> ir.Expression:
    """The members with commas: each rule `-from-N` is what may come at or after member N, never empty."""
    has_more = bool(ir.children(further)) or isinstance(further, ir.Ref)
    more = ir.sequence(further, ir.Repeat(ir.sequence(_COMMA, further), 0, None)) if has_more else None
    needed = False
    following: ir.Expression | None = more
    for at in range(len(written) - 1, -1, -1):
        member, required = written[at]
        rest = [] if following is None else [ir.sequence(_COMMA, following)]
        tail = rest if needed else [ir.optional(part) for part in rest]
        options = [ir.sequence(member, *tail)]
        if not required and following is not None:
            options.append(following)
        needed = needed or required
        compiler.rules[f"{rule}-from-{at}"] = ir.choice(options)
        following = ir.Ref(f"{rule}-from-{at}")
    if following is None:
        return ir.EMPTY
    return following if needed else ir.optional(following)


def _key(place: _Object, name: str) -> ir.Expression:
    if not place.bare:
        return ir.Literal(place.compiler.syntax.write(name) + ": ")
    if not _PARAMETER.fullmatch(name):
        pointer = "/properties/" + name.replace("~", "~0").replace("/", "~1")
        problem = f"{name!r} cannot be written as name=value"
        place.compiler.document.refuse(pointer, "properties", problem, "Rename the parameter.")
    return ir.Literal(name + "=")


def _further(place: _Object, names: dict[str, bool]) -> Iterator[ir.Expression]:
    """The members beyond the named ones, one option for each set of patterns that their names match."""
    patterns = place.patterns()
    if not patterns and not place.is_checked() and not place.allows_others(names):
        return
    try:
        unnamed = [but_not(names)] if names else []
    except TooLargeError:  # then there are none: to be strict is never wrong
        for part in place.parts:
            place.note("additionalProperties", part, "never written: too many named members to tell others apart")
        return
    if place.is_checked():
        yield _further_member(place, unnamed, ir.Ref("any"), f"{place.rule}-key")
        return
    for at, chosen in enumerate(product((False, True), repeat=len(patterns))):
        matched = frozenset(pattern for pattern, is_in in zip(patterns, chosen, strict=True) if is_in)
        if not matched and not place.allows_others(names):
            continue
        schemas = place.others(matched, patterns)
        if any(part.allows_nothing for part in schemas):
            continue
        languages = _languages(place, unnamed, patterns, chosen)
        value = place.compiler.value(schemas, f"{place.rule}-more{at}")
        yield _further_member(place, languages, value, f"{place.rule}-key{at}")


def _languages(
    place: _Object, unnamed: list[Dfa], patterns: Sequence[tuple[Part, str]], chosen: Sequence[bool]
) -> list[Dfa]:
    """The automaton of the names that match the chosen patterns and no other; none where any name will do."""
    if not patterns:
        return unnamed
    wanted = (*(True for _ in unnamed), *chosen)
    every = [*unnamed, *(pattern_dfa(pattern) for _, pattern in patterns)]
    try:
        return [combined(every, lambda held: held == wanted)]
    except TooLargeError:
        place.compiler.document.hold(patterns[0][0], "patternProperties", "check", "too many states")
        return unnamed


def _further_member(place: _Object, names: Sequence[Dfa], value: ir.Expression, rule: str) -> ir.Expression:
    """One further member: a name that the automaton accepts, any name without one, and the value."""
    compiler = place.compiler
    if place.bare:
        dfa = combined([*names, dfa_of(_PARAMETER_NAME)], all)
        return ir.NOTHING if dfa.is_empty else ir.sequence(compiler.bare_names(dfa, rule), ir.Literal("="), value)
    if not names:
        return ir.sequence(ir.Ref("string"), ir.Literal(": "), value)
    return (
        ir.NOTHING if names[0].is_empty else ir.sequence(compiler.strings.add(names[0], rule), ir.Literal(": "), value)
    )
