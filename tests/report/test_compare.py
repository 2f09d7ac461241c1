"""A comparison says of each run what its figures, flips and likeness are, and the verdict that follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.run import Run
from coalm_lite.report.compare import compare
from coalm_lite.report.published import published_scores
from tests.report.runs import differential, run

BASE = run()


def test_the_verdict_rests_on_the_headline_metric() -> None:
    comparison = compare(BASE, [run("Q8_0"), run("Q4_K_M", 6, 4), run("Q2_K", 60, 5)], 2.0)
    assert [(each.label, each.verdict) for each in comparison.runs] == [
        ("Q8_0", "holds"),
        ("Q4_K_M", "undecided"),
        ("Q2_K", "regressed"),
    ]
    assert comparison.verdict == "regressed"
    assert [metric.headline for metric in comparison.runs[0].metrics] == [True, False, False]


def test_figures_are_in_points_and_count_flips() -> None:
    metric = compare(BASE, [run("Q2_K", 30, 6)], 2.0).runs[0].metrics[0]
    assert metric.difference == pytest.approx(-8.0)
    assert metric.score == pytest.approx(metric.base - 8.0)
    assert metric.low < -8.0 < metric.high < 0
    assert (metric.lost, metric.won, metric.units, metric.clusters) == (30, 6, 300, 300)
    assert metric.p == metric.p_holm < 0.001
    assert metric.test == "McNemar, exact"


def test_strata_are_told_with_their_weights() -> None:
    pooled, even, _ = compare(BASE, [run("Q2_K", 30)], 2.0).runs[0].metrics
    for metric in (pooled, even):
        assert [stratum.stratum for stratum in metric.strata] == ["easy", "hard"]
        assert sum(stratum.weight for stratum in metric.strata) == pytest.approx(1)
        assert sum(each.weight * each.score for each in metric.strata) == pytest.approx(metric.score)


def test_several_headline_metrics_are_corrected_together() -> None:
    base, other = (run(quant, lost, suites=("smoke", "bfcl")) for quant, lost in (("F16", 0), ("Q2_K", 8)))
    for metric in compare(base, [other], 2.0).runs[0].metrics[:2]:
        assert metric.headline
        assert metric.p_holm == pytest.approx(2 * metric.p)


def test_an_undecided_metric_says_how_many_items_more_and_a_decided_one_none() -> None:
    runs = compare(BASE, [run("Q4_K_M", 6, 4), run("Q8_0")], 2.0).runs
    assert (runs[0].metrics[0].items_still or 0) > 100
    assert runs[1].metrics[0].items_still == 0


def test_flips_show_both_sides() -> None:
    flips = compare(BASE, [run("Q2_K", 3, 2)], 2.0).runs[0].flips
    assert [flip.kind for flip in flips].count("lost") == 3
    assert [flip.kind for flip in flips].count("won") == 2
    lost = next(flip for flip in flips if flip.kind == "lost")
    assert lost.base.steps[0].text.endswith("right")
    assert lost.other.steps[0].text.endswith("wrong")
    assert {change.metric: (change.base, change.score) for change in lost.changes}["slots"] == (80.0, 40.0)


def test_items_are_alike_when_their_texts_are() -> None:
    like = compare(BASE, [run("Q2_K", 3, 2)], 2.0).runs[0].likeness
    assert (like.items, like.items_same, like.tokens, like.kl_per_token) == (300, 295, None, None)


def test_a_differential_run_tells_tokens_and_divergence() -> None:
    like = compare(BASE, [differential(BASE, run("Q2_K", 3), agreed=8, kl=0.1)], 2.0).runs[0].likeness
    assert (like.tokens, like.tokens_same, like.kl_places) == (3000, 2400, 2400)
    assert like.kl_per_token == pytest.approx(0.1)
    assert like.kl_low == pytest.approx(0.1)
    assert like.kl_high == pytest.approx(0.1)


def test_against_a_base_without_log_probabilities_there_is_no_divergence_and_a_note_says_so() -> None:
    base = Run(replace(BASE.header, top_logprobs=0), BASE.items)
    comparison = compare(base, [differential(base, run("Q2_K"))], 2.0)
    assert comparison.runs[0].likeness.kl_per_token is None
    assert comparison.runs[0].likeness.tokens == 3000
    assert comparison.notes == ("The base run kept no log-probabilities: there is no KL divergence of Q2_K.",)


def test_agreement_with_another_base_is_not_shown() -> None:
    other = differential(run("F32"), run("Q2_K"))
    comparison = compare(BASE, [other], 2.0)
    assert comparison.runs[0].likeness.tokens is None
    assert "another base" in comparison.notes[0]


def test_a_base_too_weak_to_lose_what_is_allowed_is_told_once() -> None:
    comparison = compare(BASE, [run("Q2_K"), run("Q4_0")], 99.0)
    (note,) = [note for note in comparison.notes if "says nothing" in note]
    assert f"the base scores {comparison.runs[0].metrics[0].base:.1f}, less than the 99 points" in note
    assert not [note for note in compare(BASE, [run("Q2_K")], 2.0).notes if "says nothing" in note]


def test_models_of_one_quant_get_names_of_their_own() -> None:
    twin = run("Q4_0")
    renamed = Run(replace(twin.header, model=replace(twin.header.model, name="other")), twin.items)
    comparison = compare(BASE, [twin, twin, renamed], 2.0)
    assert [each.label for each in comparison.runs] == ["model-Q4_0 Q4_0 (1)", "model-Q4_0 Q4_0 (2)", "other Q4_0"]


def test_published_scores_stand_beside_coalm() -> None:
    scores = published_scores("hf:uiuc-convai/CoALM-8B@1/x.gguf", "multiwoz:own", "joint_goal_accuracy")
    assert [(each.score, each.model, each.source) for each in scores] == [(30.4, "CoALM 8B", "paper")]
    assert len(published_scores("mradermacher/CALM-405B-GGUF", "bfcl", "overall")) == 2
    assert published_scores("CoALM-8Bit", "bfcl", "overall") == published_scores("", "bfcl", "overall") == ()
    assert published_scores("CoALM-70B", "bfcl", "no_such") == ()


@pytest.mark.parametrize("max_drop", [0.0, -1.0, 101.0, float("nan")])
def test_a_drop_that_cannot_be_allowed_is_refused(max_drop: float) -> None:
    with pytest.raises(UsageError, match="points cannot be allowed"):
        compare(BASE, [run("Q8_0")], max_drop)


def test_where_no_headline_metric_was_scored_there_is_no_verdict() -> None:
    base, other = (
        Run(values.header, tuple(replace(item, units=()) for item in values.items)) for values in (BASE, run("Q8_0"))
    )
    with pytest.raises(EvalError, match="no headline metric has anything that was scored"):
        compare(base, [other], 2.0)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(UsageError, match="no run to hold against the base"):
        compare(BASE, [], 2.0)
