"""BFCL V3's 17 categories, and its figures: what each category counts in which.

Overall is the mean of non-live, live and multi-turn. Non-live is the mean of simple (itself the mean of Python, Java and
JavaScript), multiple, parallel, parallel-multiple and irrelevance; live counts items, over its six categories; multi-
turn is the mean of its four. `relevance` is the live category, `irrelevance` counts items of both. The weights are
those of the full set, so a reduced one, drawn by category, estimates the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
    Category("live_relevance", "live relevance", "live", "live_relevance", 18, kind="a_call"),
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
