"""Runs compared: each quantized model's beside the base's, item by item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.items import Metric, Share
from coalm_lite.evals.run import ItemResult, Run, RunHeader, SuiteStory
from coalm_lite.evals.statistics.paired import Estimate, estimate, paired_units
from coalm_lite.evals.statistics.pairs import PairedUnit, pair_units
from coalm_lite.evals.statistics.significance import holm
from coalm_lite.evals.statistics.verdicts import decide, items_still, worst
from coalm_lite.report.checks import cautions, check_comparable
from coalm_lite.report.comparison import Change, Comparison, Flip, FlipKind, MetricResult, RunResult, StratumResult
from coalm_lite.report.likeness import likeness
from coalm_lite.report.published import published_scores

_POINTS = 100.0


def compare(base: Run, others: Sequence[Run], max_drop: float, names: Sequence[str] = ()) -> Comparison:
    """The comparison, with a drop of at most `max_drop` points allowed in each headline metric.

    `names`: what errors call the other runs, their files say. EvalError for a run that cannot be held against the base;
    UsageError for no run, or a drop that is none.
    """
    if not others:
        raise UsageError("there is no run to hold against the base", "Name the run file of a quantized model, too.")
    if not 0 < max_drop <= _POINTS:
        raise UsageError(f"a drop of {max_drop:g} points cannot be allowed", "Give one above 0 and at most 100.")
    for other, name in zip(others, names or [run.header.model.name for run in others], strict=True):
        check_comparable(base, other, name)
    base_label, *labels = _labels([base.header, *(other.header for other in others)])
    runs = tuple(_run_result(base, other, label, max_drop) for other, label in zip(others, labels, strict=True))
    notes = [note for run in runs for note in cautions(base.header, run.header, run.label)]
    notes += _floors(runs[0].metrics, max_drop)
    return Comparison(base_label, base.header, runs, max_drop, worst([run.verdict for run in runs]), tuple(notes))


def _floors(metrics: Sequence[MetricResult], max_drop: float) -> Iterator[str]:
    """Headline metrics in which the base is too weak to lose what is allowed."""
    for metric in metrics:
        if metric.headline and metric.base < max_drop:
            yield (
                f"{metric.suite}, {metric.title}: the base scores {metric.base:.1f}, less than the {max_drop:g} points"
                " that may be lost. That this figure holds says nothing."
            )


def _labels(headers: Sequence[RunHeader]) -> list[str]:
    """A name for each model unlike every other: its quant, else its name, with a number where that is not enough."""
    plain = [header.model.quant or header.model.name for header in headers]
    counts = Counter(plain)
    named = [
        f"{header.model.name} {header.model.quant}".strip() if counts[label] > 1 else label
        for header, label in zip(headers, plain, strict=True)
    ]
    repeated, seen = Counter(named), Counter[str]()
    for index, label in enumerate(named):
        seen[label] += 1
        named[index] = f"{label} ({seen[label]})" if repeated[label] > 1 else label
    return named


def _run_result(base: Run, other: Run, label: str, max_drop: float) -> RunResult:
    metrics: list[MetricResult] = []
    flips: list[Flip] = []
    for suite in base.header.suites:
        left, right = ([item for item in run.items if item.suite == suite.name] for run in (base, other))
        metrics += _metric_results(suite, list(paired_units(left, right)), base.header)
        flips += _flips(left, right, suite)
    decided = [*_decided([each for each in metrics if each.headline], base, max_drop)]
    if not decided:
        raise EvalError(f"{label}: no headline metric has anything that was scored", "Ask more items of each suite.")
    verdict = worst([each.verdict for each in decided])
    decided += _decided([each for each in metrics if not each.headline], base, max_drop)
    return RunResult(label, other.header, verdict, tuple(decided), tuple(flips), likeness(base, other))


def _metric_results(suite: SuiteStory, units: Sequence[PairedUnit], base: RunHeader) -> Iterator[MetricResult]:
    """The figures of a suite that have units; without verdicts, which take all figures of a run."""
    for metric in suite.metrics:
        found = estimate(units, metric)
        if found is not None:
            strata = tuple(_strata(units, metric, found))
            yield replace(
                _points(suite, metric, found),
                strata=strata if len(strata) > 1 else (),
                published=published_scores(base.model.source, suite.name, metric.name),
            )


def _points(suite: SuiteStory, metric: Metric, found: Estimate) -> MetricResult:
    base, score = found.pairs.scores
    return MetricResult(
        suite=suite.name,
        name=metric.name,
        title=metric.title,
        headline=metric.headline,
        pass_fail=metric.pass_fail,
        base=_POINTS * base,
        score=_POINTS * score,
        difference=_POINTS * found.difference,
        low=_POINTS * found.interval.low,
        high=_POINTS * found.interval.high,
        test=found.significance.test,
        p=found.significance.p,
        p_holm=found.significance.p,
        verdict="undecided",
        items_still=None,
        units=found.pairs.units,
        clusters=found.pairs.clusters,
        lost=found.pairs.lost,
        won=found.pairs.won,
    )


def _strata(units: Sequence[PairedUnit], metric: Metric, found: Estimate) -> Iterator[StratumResult]:
    weights = dict(zip(found.pairs.strata, found.pairs.weights.tolist(), strict=True))
    plain = replace(metric, weights={})
    for name in dict.fromkeys([*metric.weights, *(unit.stratum for unit in units)]):
        pairs = pair_units([unit for unit in units if unit.stratum == name], plain)
        if pairs.units and (not metric.weights or name in weights):
            base, score = pairs.scores
            weight = weights.get(name, pairs.units / found.pairs.units)
            yield StratumResult(name, pairs.units, _POINTS * base, _POINTS * score, weight)


def _decided(metrics: Sequence[MetricResult], base: Run, max_drop: float) -> Iterator[MetricResult]:
    """The figures with their verdicts: Holm's correction is over the headline ones, and over the others, apart."""
    corrected = holm([each.p for each in metrics])
    items = Counter(item.suite for item in base.items)
    for each, p_holm in zip(metrics, corrected, strict=True):
        verdict = decide(each.low / _POINTS, p_holm, max_drop / _POINTS)
        still = _still(each, items[each.suite], max_drop, len(metrics)) if verdict == "undecided" else 0
        yield replace(each, p_holm=p_holm, verdict=verdict, items_still=still)


def _still(metric: MetricResult, items: int, max_drop: float, metrics: int) -> int:
    difference, low = metric.difference / _POINTS, metric.low / _POINTS
    return items_still(difference, low, items, max_drop / _POINTS, metrics)


def _flips(base: Sequence[ItemResult], other: Sequence[ItemResult], suite: SuiteStory) -> Iterator[Flip]:
    """The items with a unit whose score changed in any metric, in the run's order."""
    others = {item.id: item for item in other}
    for item in base:
        changes = tuple(_changes(item, others[item.id], suite.metrics))
        if changes:
            yield Flip(_kind(changes), suite.name, item.id, item.stratum, item.cluster, changes, item, others[item.id])


def _changes(base: ItemResult, other: ItemResult, metrics: Sequence[Metric]) -> Iterator[Change]:
    names = [metric.name for metric in metrics]
    theirs = {unit.id: unit for unit in other.units}
    for unit in base.units:
        for name in names if unit.id in theirs else ():
            before, after = _score(unit.scores.get(name)), _score(theirs[unit.id].scores.get(name))
            if before is not None and after is not None and before != after:
                yield Change(unit.id, name, before, after)


def _score(share: Share | None) -> float | None:
    return _POINTS * share.part / share.whole if share and share.whole else None


def _kind(changes: Sequence[Change]) -> FlipKind:
    rose = [change.score > change.base for change in changes]
    return "won" if all(rose) else "mixed" if any(rose) else "lost"
