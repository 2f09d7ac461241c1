from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.decoding.pace import BatchCost, Pace, pace_of


def measured(fixed: float, each: float, sizes: list[int]) -> Pace:
    pace = Pace()
    for size in sizes:
        pace.cost.measured(size, fixed + each * size)
    return pace


def test_the_cost_of_batches_is_found() -> None:
    fixed, each = measured(20.0, 3.0, [1, 5, 9, 2, 17] * 40).cost.line
    assert fixed == pytest.approx(20.0, rel=0.02)
    assert each == pytest.approx(3.0, rel=0.02)


@given(sizes=st.lists(st.integers(1, 500), min_size=1), seconds=st.floats(1e-5, 1e3))
def test_whatever_is_measured_the_cost_is_a_sensible_line(sizes: list[int], seconds: float) -> None:
    cost = BatchCost()
    for size in sizes:
        cost.measured(size, seconds)
    fixed, each = cost.line
    assert each > 0
    assert fixed >= -1e-6 * seconds


def test_cheap_tokens_and_good_chances_make_long_drafts() -> None:
    cheap, dear = measured(20.0, 0.1, [1, 8] * 20), measured(1.0, 10.0, [1, 8] * 20)
    for pace in (cheap, dear):
        for _ in range(50):
            pace.tried("recorded", 16, False)
            pace.tried("lookup 1", 0, True)
    assert cheap.length("recorded", 16, 1, 1) == 16
    assert cheap.length("lookup 1", 16, 1, 1) < 3
    assert dear.length("recorded", 16, 1, 1) <= 16
    assert dear.length("lookup 1", 16, 1, 1) == 0
    assert cheap.length("recorded", 5, 1, 1) == 5


def test_where_batches_cost_by_the_token_many_answers_leave_no_worth_to_doubtful_drafts() -> None:
    pace = measured(1.0, 1.0, [1, 8, 16] * 20)
    for _ in range(50):
        pace.tried("lookup 2", 1, True)
    assert pace.length("lookup 2", 16, 16, 16) == 0


def test_what_was_measured_with_an_engine_stays_with_it() -> None:
    class Engine:
        pass

    first, second = Engine(), Engine()
    assert pace_of(first) is pace_of(first)
    assert pace_of(first) is not pace_of(second)
