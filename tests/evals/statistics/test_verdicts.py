"""Verdicts follow interval and test, and an undecided one says how many items more would decide."""

from __future__ import annotations

import pytest

from coalm_lite.evals.statistics.intervals import difference_interval
from coalm_lite.evals.statistics.paired import Estimate, design_effect, estimate
from coalm_lite.evals.statistics.verdicts import Verdict, decide, items_still, worst
from tests.evals.statistics.tables import PASSED, passes, units_of


@pytest.mark.parametrize(
    ("low", "p", "verdict"),
    [(-0.01, 0.5, "holds"), (-0.019, 0.001, "holds"), (-0.02, 0.001, "regressed"), (-0.05, 0.05, "undecided")],
)
def test_it_holds_first_then_is_a_regression_else_undecided(low: float, p: float, verdict: Verdict) -> None:
    assert decide(low, p, 0.02) == verdict


def test_one_regression_spoils_all_and_one_open_question_leaves_all_open() -> None:
    assert worst(["holds", "undecided", "regressed"]) == "regressed"
    assert worst(["holds", "undecided"]) == "undecided"
    assert worst(["holds"]) == worst([]) == "holds"


def found(lost: int, won: int, units: int) -> Estimate:
    result = estimate(units_of(lost, won, units - lost - won), PASSED)
    assert result is not None
    return result


@pytest.mark.parametrize(("lost", "won"), [(6, 5), (10, 4), (5, 5)])
def test_so_many_items_more_decide_if_the_difference_stays(lost: int, won: int) -> None:
    units, max_drop = 200, 0.02
    seen = found(lost, won, units)
    assert decide(seen.interval.low, seen.significance.p, max_drop) == "undecided"
    more = items_still(seen.difference, seen.interval.low, units, max_drop)
    times = (units + more) / units
    then = found(round(lost * times), round(won * times), units + more)
    assert decide(then.interval.low, then.significance.p, max_drop) != "undecided"


def test_a_difference_at_the_edge_needs_more_items_than_one_far_from_it() -> None:
    edge, far = (items_still(difference, difference - 0.03, 200, 0.02) for difference in (-0.01, 0.01))
    assert edge > far >= 1


def test_no_unit_is_no_estimate() -> None:
    assert estimate([], PASSED) is None


def test_flips_in_runs_have_a_design_effect_and_single_ones_none() -> None:
    assert design_effect(passes(30, 20, 650)) == pytest.approx(1, rel=0.02)
    assert design_effect(passes(28, 28, 644, cluster_size=7)) == pytest.approx(7, rel=0.05)
    assert design_effect(passes(0, 0, 10)) == 1


def test_the_estimate_is_of_the_scores() -> None:
    pairs = passes(3, 1, 96)
    base, score = pairs.scores
    seen = found(3, 1, 100)
    assert seen.difference == score - base == pytest.approx(-0.02)
    assert seen.interval == difference_interval(pairs)
