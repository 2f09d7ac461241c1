from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.decoding.pace import FORCED, BatchCost, BatchParts, GivenCost, Pace, pace_of


def measured(fixed: float, each: float, sizes: list[int]) -> Pace:
    pace = Pace()
    for size in sizes:
        pace.cost.measured(size, 1, fixed + each * size)
    return pace


def test_the_cost_of_batches_is_found() -> None:
    parts = measured(20.0, 3.0, [1, 5, 9, 2, 17] * 40).cost.parts
    assert parts.fixed + parts.row == pytest.approx(20.0, rel=0.02)
    assert parts.token == pytest.approx(3.0, rel=0.02)
    assert 0 < parts.row < parts.token


@given(batches=st.lists(st.tuples(st.integers(1, 500), st.integers(0, 16)), min_size=1), seconds=st.floats(1e-5, 1e3))
def test_whatever_is_measured_the_cost_has_sensible_parts(batches: list[tuple[int, int]], seconds: float) -> None:
    cost = BatchCost()
    for tokens, rows in batches:
        cost.measured(tokens, min(rows, tokens), seconds)
    parts = cost.parts
    assert parts.token > 0
    assert parts.fixed >= -1e-6 * seconds
    assert parts.row > 0


def tried(pace: Pace, kind: str, right: bool) -> Pace:
    for _ in range(60):
        pace.tried(kind, right)
    return pace


def test_cheap_tokens_and_good_chances_make_long_drafts() -> None:
    cheap, dear = measured(20.0, 0.1, [1, 8] * 20), measured(1.0, 10.0, [1, 8] * 20)
    for pace in (cheap, dear):
        tried(pace, "recorded", True)
        tried(pace, "lookup 1 behind a word", False)
    assert cheap.worth(["recorded"] * 16, 1) == 16
    assert cheap.worth(["lookup 1 behind a word"] * 16, 1) < 3
    assert dear.worth(["lookup 1 behind a word"] * 16, 1) == 0


def test_where_a_batch_is_shared_doubtful_drafts_are_worth_less() -> None:
    pace = measured(4.0, 1.0, [1, 8, 16] * 20)
    for _ in range(30):
        pace.tried("tail", True)
        pace.tried("tail", False)
    assert pace.worth(["tail"], 1) == 1
    assert pace.worth(["tail"], 16) == 0


def test_forced_text_goes_with_the_guess_before_it_or_not_at_all() -> None:
    pace = tried(measured(5.0, 1.0, [1, 8, 16] * 20), "tail", True)
    assert pace.worth(["tail", FORCED, FORCED, FORCED], 1) == 4
    doubtful = measured(5.0, 1.0, [1, 8, 16] * 20)
    for _ in range(30):
        doubtful.tried("tail", True)
        doubtful.tried("tail", False)
    assert doubtful.worth(["tail"], 1) == 1
    assert doubtful.worth(["tail", *[FORCED] * 12], 1) == 0


@given(kinds=st.lists(st.sampled_from(["tail", "recorded", "habit 1", FORCED])), answers=st.integers(1, 16))
def test_what_is_worth_it_never_ends_inside_forced_text(kinds: list[str], answers: int) -> None:
    count = measured(9.0, 2.0, [1, 8, 16] * 20).worth(kinds, answers)
    assert 0 <= count <= len(kinds)
    assert count == len(kinds) or kinds[count] != FORCED or count == 0


def test_what_was_measured_with_an_engine_stays_with_it() -> None:
    class Engine:
        pass

    first, second = Engine(), Engine()
    assert pace_of(first) is pace_of(first)
    assert pace_of(first) is not pace_of(second)


def test_a_given_cost_stays_what_it_is() -> None:
    cost = GivenCost(BatchParts(1.0, 0.1, 0.02))
    cost.measured(4, 1, 50.0)
    assert cost.parts == BatchParts(1.0, 0.1, 0.02)
    assert Pace(cost).worth(["tail"], 1) == 1
