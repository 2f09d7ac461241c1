"""A run's scores by suite and metric, by the same rule as comparisons: shares of strata, weighed or pooled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coalm_lite.evals.items import Metric, Share
from coalm_lite.evals.run import Run


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's figure in 0 to 1; `whole`: the parts and wholes of all its units added up."""

    suite: str
    metric: Metric
    value: float
    whole: Share


def scores(run: Run) -> Iterator[Score]:
    """The scores of each suite's metrics of which the run has units."""
    from coalm_lite.evals.statistics.pairs import PairedUnit, pair_units

    for suite in run.header.suites:
        items = [item for item in run.items if item.suite == suite.name]
        for metric in suite.metrics:
            units = [
                PairedUnit(item.cluster, unit.stratum, unit.scores, unit.scores)
                for item in items
                for unit in item.units
                if metric.name in unit.scores and unit.scores[metric.name].whole
            ]
            if units:
                shares = [unit.base[metric.name] for unit in units]
                whole = Share(sum(share.part for share in shares), sum(share.whole for share in shares))
                yield Score(suite.name, metric, pair_units(units, metric).scores[0], whole)
