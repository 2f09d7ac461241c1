"""Arrays of a place: the first items one by one, then any number of others, counts included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coalm_lite.grammar import ir
from coalm_lite.grammar.parts import Part
from coalm_lite.grammar.scalars import count_range

if TYPE_CHECKING:
    from coalm_lite.grammar.schema import Compiler

_COMMA = ir.Literal(", ")


def array(compiler: Compiler, parts: Sequence[Part], rule: str) -> ir.Expression:
    """The arrays that fit all parts."""
    least, most = count_range(compiler, parts, "minItems", "maxItems")
    if most is not None and least > most:
        return compiler.nothing(parts, "maxItems", "is less than minItems")
    first = max((len(_prefix(part)) for part in parts), default=0)
    first = first if most is None else min(first, most)
    others = (
        ir.NOTHING
        if most is not None and most <= first
        else compiler.value(_item_parts(compiler, parts, None), f"{rule}-item")
    )
    items = [compiler.value(_item_parts(compiler, parts, at), f"{rule}-item{at}") for at in range(first)]
    more = None if most is None else most - first
    rest: ir.Expression = (
        ir.EMPTY if others is ir.NOTHING else ir.Repeat(ir.sequence(_COMMA, others), max(least - first, 0), more)
    )
    if not items:
        return ir.sequence(ir.Literal("["), _items(others, least, most), ir.Literal("]"))
    for at in range(first - 1, 0, -1):
        name = f"{rule}-from{at}"
        follows = ir.sequence(_COMMA, items[at], rest)
        compiler.rules[name] = follows if at < least else ir.optional(follows)
        rest = ir.Ref(name)
    inside = ir.sequence(items[0], rest)
    return ir.sequence(ir.Literal("["), inside if least else ir.optional(inside), ir.Literal("]"))


def _items(item: ir.Expression, least: int, most: int | None) -> ir.Expression:
    """`least` to `most` items of one kind with commas."""
    if most == 0 or item is ir.NOTHING:
        return ir.EMPTY
    follows = ir.sequence(_COMMA, item)
    more = ir.Repeat(follows, max(least - 1, 0), None if most is None else most - 1)
    inside = ir.sequence(item, *([more] if most != 1 else []))
    return inside if least else ir.optional(inside)


def _prefix(part: Part) -> list[object]:
    found = part.get("prefixItems")
    return list(found) if isinstance(found, list) else []


def _item_parts(compiler: Compiler, parts: Sequence[Part], at: int | None) -> tuple[Part, ...]:
    """What must hold for the item at this index; None: for those after all first ones."""
    found: list[Part | None] = []
    for part in parts:
        first = part.get("prefixItems")
        if isinstance(first, list) and at is not None and at < len(first):
            found.append(compiler.document.part(first[at], part, "prefixItems", str(at)))
        elif part.has("items"):
            found.append(compiler.document.part(part.get("items"), part, "items"))
    return tuple(part for part in found if part is not None)
