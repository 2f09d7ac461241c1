"""BFCL V3's 17 categories, and its figures: what each category counts in which.

Overall is the mean of non-live, live and multi-turn. Non-live is the mean of simple (itself the mean of Python, Java
and JavaScript), multiple, parallel, parallel-multiple and irrelevance. Live counts items, over its six categories;
multi-turn is the mean of its four. The leaderboard's columns "non-live AST", "irrelevance" and "relevance" are
`non_live_ast` (without irrelevance), `no_call` (the mean of both irrelevance categories) and `live_relevance`. The
weights are those of the full set, so a reduced one, drawn by category, estimates the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, TypeAlias

from coalm_lite.errors import UsageError
from coalm_lite.evals.bfcl.checker import Count
from coalm_lite.evals.items import Metric
from coalm_lite.tools.foreign_types import Language

Group: TypeAlias = Literal["non_live", "live", "multi_turn"]
Kind: TypeAlias = Literal["calls", "no_call", "a_call", "conversation"]


@dataclass(frozen=True, slots=True)
class Category:
    """One category: what it is called, which file has it, how its items pass; `items` in the full V3 set."""

    name: str
    title: str
    group: Group
    file: str
    items: int
    kind: Kind = "calls"
    count: Count = "one"
    language: Language = "python"


CATEGORIES: tuple[Category, ...] = (
    Category("simple_python", "simple, Python", "non_live", "simple", 400),
    Category("simple_java", "simple, Java", "non_live", "java", 100, language="java"),
    Category("simple_javascript", "simple, JavaScript", "non_live", "javascript", 50, language="javascript"),
    Category("multiple", "multiple", "non_live", "multiple", 200, count="first"),
    Category("parallel", "parallel", "non_live", "parallel", 200, count="any_order"),
    Category("parallel_multiple", "parallel multiple", "non_live", "parallel_multiple", 200, count="any_order"),
    Category("irrelevance", "irrelevance", "non_live", "irrelevance", 240, kind="no_call"),
    Category("live_simple", "live simple", "live", "live_simple", 258),
    Category("live_multiple", "live multiple", "live", "live_multiple", 1053, count="first"),
    Category("live_parallel", "live parallel", "live", "live_parallel", 16, count="any_order"),
    Category(
        "live_parallel_multiple",
        "live parallel multiple",
        "live",
        "live_parallel_multiple",
        24,
        count="any_order",
    ),
    Category("live_irrelevance", "live irrelevance", "live", "live_irrelevance", 882, kind="no_call"),
    Category("live_relevance", "relevance", "live", "live_relevance", 18, kind="a_call"),
    *(
        Category(f"multi_turn_{part}", f"multi-turn {title}", "multi_turn", f"multi_turn_{part}", 200, "conversation")
        for part, title in (
            ("base", "base"),
            ("miss_func", "missing function"),
            ("miss_param", "missing parameter"),
            ("long_context", "long context"),
        )
    ),
)
AST_CATEGORIES: tuple[Category, ...] = tuple(each for each in CATEGORIES if each.kind == "calls")


def categories_of(part: str) -> tuple[Category, ...]:
    """The categories that a part names: "" all, a group ("live"), "simple", or one category. UsageError for others."""
    found = tuple(each for each in CATEGORIES if part in ("", each.name, each.group, _family(each)))
    if not found:
        names = ["non_live", "live", "multi_turn", "simple", *(each.name for each in CATEGORIES)]
        close = get_close_matches(part, names, n=1)
        hint = f"Did you mean bfcl:{close[0]}?" if close else f"Use one of {', '.join(names)}, or bfcl alone for all."
        raise UsageError(f"BFCL has no part {part!r}", hint)
    return found


def _family(category: Category) -> str:
    return "simple" if category.name.startswith("simple_") else ""


def metrics_of(categories: Sequence[Category]) -> tuple[Metric, ...]:
    """The figures that these categories have whole, the widest first, which is the headline; then one a category."""
    there = {each.name for each in categories}
    wide = [(name, title, weights) for name, title, weights in _WIDE if weights.keys() <= there and len(there) > 1]
    metrics = [Metric(name, title, weights=weights) for name, title, weights in wide]
    metrics += [Metric(each.name, each.title) for each in categories if each.name not in {name for name, *_ in wide}]
    return (replace(metrics[0], headline=True), *metrics[1:])


def _even(*parts: Mapping[str, float]) -> Mapping[str, float]:
    """The mean of figures, by the weights of their categories."""
    weights: dict[str, float] = {}
    for part in parts:
        for name, weight in part.items():
            weights[name] = weights.get(name, 0.0) + weight / len(parts)
    return weights


def _one(name: str) -> Mapping[str, float]:
    return {name: 1.0}


def _counted(group: Group) -> Mapping[str, float]:
    """The mean over a group's items."""
    sizes = {each.name: each.items for each in CATEGORIES if each.group == group}
    return {name: size / sum(sizes.values()) for name, size in sizes.items()}


_SIMPLE = _even(_one("simple_python"), _one("simple_java"), _one("simple_javascript"))
_AST = (_SIMPLE, _one("multiple"), _one("parallel"), _one("parallel_multiple"))
_NON_LIVE = _even(*_AST, _one("irrelevance"))
_LIVE = _counted("live")
_MULTI_TURN = _counted("multi_turn")  # four of equal size, so the mean of the four
_WIDE: tuple[tuple[str, str, Mapping[str, float]], ...] = (
    ("overall", "overall", _even(_NON_LIVE, _LIVE, _MULTI_TURN)),
    ("non_live", "non-live", _NON_LIVE),
    ("live", "live", _LIVE),
    ("multi_turn", "multi-turn", _MULTI_TURN),
    ("non_live_ast", "non-live, calls alone", _even(*_AST)),
    ("simple", "simple", _SIMPLE),
    ("no_call", "irrelevance, both", _even(_one("irrelevance"), _one("live_irrelevance"))),
)
