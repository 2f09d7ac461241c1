"""Reduced sets: strata have their shares, clusters stay whole, a seed draws the same, a larger set holds a smaller."""

from __future__ import annotations

from collections import Counter

import pytest

from coalm_lite.errors import UsageError
from coalm_lite.evals.items import Item
from coalm_lite.evals.running.selection import draw

SIZES = {"a": 700, "b": 290, "c": 10}
ITEMS = [Item(f"{name}{n}", name, f"{name}{n}", n) for name, size in SIZES.items() for n in range(size)]
TURNS = [Item(f"d{talk}/{turn}", "s", f"d{talk}", turn) for talk in range(40) for turn in range(1 + talk % 5)]


@pytest.mark.parametrize("count", [7, 30, 100, 333, 999])
def test_strata_have_their_shares_and_a_few_each(count: int) -> None:
    drawn = draw("s", ITEMS, count, 0)
    sizes = Counter(item.stratum for item in drawn)
    assert len(drawn) == count
    assert sizes["c"] >= min(3, count // 3)
    assert abs(sizes["a"] - 0.7 * count) <= 4


def test_the_items_keep_their_order_and_none_is_drawn_twice() -> None:
    drawn = draw("s", ITEMS, 200, 3)
    assert [item for item in ITEMS if item in drawn] == list(drawn)


def test_a_seed_draws_the_same_and_another_one_others() -> None:
    assert draw("s", ITEMS, 100, 1) == draw("s", ITEMS, 100, 1)
    assert draw("s", ITEMS, 100, 1) != draw("s", ITEMS, 100, 2)
    assert draw("s", ITEMS, 100, 1) != draw("t", ITEMS, 100, 1)


def test_a_larger_set_holds_a_smaller_one() -> None:
    assert {item.id for item in draw("s", ITEMS, 100, 1)} < {item.id for item in draw("s", ITEMS, 500, 1)}


def test_dialogues_are_drawn_whole() -> None:
    drawn = draw("s", TURNS, 30, 0)
    whole = Counter(item.cluster for item in TURNS)
    assert all(count == whole[cluster] for cluster, count in Counter(item.cluster for item in drawn).items())
    assert 30 <= len(drawn) < 35


def test_all_items_are_drawn_where_there_are_no_more() -> None:
    assert draw("s", TURNS, 5000, 0) == tuple(TURNS)


def test_none_cannot_be_drawn() -> None:
    with pytest.raises(UsageError, match="0 items of s"):
        draw("s", ITEMS, 0, 0)
