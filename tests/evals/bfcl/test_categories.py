"""BFCL's parts and figures."""

from __future__ import annotations

import pytest

from coalm_lite.errors import UsageError
from coalm_lite.evals.bfcl.categories import CATEGORIES, categories_of, metrics_of

# By category, the published V3 scores of CoALM 8B on the leaderboard, where it has them; the others are chosen here.
SCORES = {
    "simple_python": 90.0,
    "simple_java": 60.0,
    "simple_javascript": 55.5,
    "multiple": 95.0,
    "parallel": 89.0,
    "parallel_multiple": 88.5,
    "irrelevance": 89.4,
    "live_simple": 71.71,
    "live_multiple": 66.67,
    "live_parallel": 56.25,
    "live_parallel_multiple": 54.17,
    "live_irrelevance": 81.6,
    "live_relevance": 83.33,
    "multi_turn_base": 5.0,
    "multi_turn_miss_func": 5.0,
    "multi_turn_miss_param": 4.0,
    "multi_turn_long_context": 4.0,
}


def figure(name: str) -> float:
    metric = next(metric for metric in metrics_of(CATEGORIES) if metric.name == name)
    return sum(weight * SCORES[stratum] for stratum, weight in metric.weights.items())


@pytest.mark.parametrize(("name", "published"), [("simple", 68.5), ("non_live_ast", 85.25), ("multi_turn", 4.5)])
def test_the_figures_are_the_leaderboards(name: str, published: float) -> None:
    assert figure(name) == pytest.approx(published, abs=0.005)


def test_overall_is_the_mean_of_its_three_parts() -> None:
    simple = (90 + 60 + 55.5) / 3
    non_live = (simple + 95 + 89 + 88.5 + 89.4) / 5
    counted = 258 * 71.71 + 1053 * 66.67 + 16 * 56.25 + 24 * 54.17 + 882 * 81.6 + 18 * 83.33
    assert figure("non_live") == pytest.approx(non_live)
    assert figure("live") == pytest.approx(counted / 2251)
    assert figure("overall") == pytest.approx((non_live + counted / 2251 + 4.5) / 3)
    assert figure("no_call") == pytest.approx((89.4 + 81.6) / 2)


def test_weights_sum_to_one_and_name_categories() -> None:
    names = {each.name for each in CATEGORIES}
    for metric in metrics_of(CATEGORIES):
        assert not metric.weights or sum(metric.weights.values()) == pytest.approx(1)
        assert metric.weights.keys() <= names


def test_the_full_set_has_4441_items_in_17_categories() -> None:
    assert (len(CATEGORIES), sum(each.items for each in CATEGORIES)) == (17, 4441)


@pytest.mark.parametrize(
    ("part", "headline", "count"),
    [
        ("", "overall", 17),
        ("non_live", "non_live", 7),
        ("live", "live", 6),
        ("multi_turn", "multi_turn", 4),
        ("simple", "simple", 3),
        ("parallel", "parallel", 1),
    ],
)
def test_a_part_has_its_categories_and_its_widest_figure_is_the_headline(part: str, headline: str, count: int) -> None:
    categories = categories_of(part)
    metrics = metrics_of(categories)
    assert len(categories) == count
    assert [metric.name for metric in metrics if metric.headline] == [headline] == [metrics[0].name]


def test_a_figure_whose_categories_are_not_there_is_not_offered() -> None:
    names = {metric.name for metric in metrics_of(categories_of("non_live"))}
    assert names == {"non_live", "non_live_ast", "simple", *(each.name for each in categories_of("non_live"))}


def test_an_unknown_part_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="no part 'multi_trun'") as error:
        categories_of("multi_trun")
    assert error.value.hint == "Did you mean bfcl:multi_turn?"
    with pytest.raises(UsageError) as error:
        categories_of("?")
    assert "non_live, live, multi_turn, simple, simple_python" in error.value.hint
