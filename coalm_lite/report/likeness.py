"""How alike two models' answers are, whatever they score: equal answers, equal tokens, and KL divergence a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.evals.run import ItemResult, Run, Step
from coalm_lite.evals.statistics.intervals import CONFIDENCE
from coalm_lite.report.checks import is_against
from coalm_lite.report.comparison import Likeness

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DRAWS = 2_000


def likeness(base: Run, other: Run) -> Likeness:
    """The answers' likeness; tokens and KL divergence only where the other run is differential against this base."""
    theirs = {(item.suite, item.id): item for item in other.items}
    same = sum(_texts(item) == _texts(theirs[item.suite, item.id]) for item in base.items)
    if not is_against(base.header, other.header):
        return Likeness(len(base.items), same)
    found = [step.agreement for item in other.items for step in item.steps if step.agreement]
    tokens, agreed = sum(each.base_tokens for each in found), sum(each.agreed_tokens for each in found)
    sums = _divergences(other.items)
    places = int(sums[:, 1].sum())
    if not base.header.top_logprobs or not places:
        return Likeness(len(base.items), same, tokens, agreed)
    low, high = _interval(sums)
    mean = float(sums[:, 0].sum() / places)
    return Likeness(len(base.items), same, tokens, agreed, mean, places, low, high)


def _texts(item: ItemResult) -> tuple[str, ...]:
    return tuple(step.text for step in item.steps)


def _divergences(items: Sequence[ItemResult]) -> NDArray[np.float64]:
    """KL divergence and places, added up by cluster: shape (clusters, 2)."""
    clusters = {key: row for row, key in enumerate(dict.fromkeys((item.suite, item.cluster) for item in items))}
    sums = np.zeros((len(clusters), 2))
    for item in items:
        for agreement in filter(None, (_agreement(step) for step in item.steps)):
            sums[clusters[item.suite, item.cluster]] += agreement
    return sums[sums[:, 1] > 0]


def _agreement(step: Step) -> tuple[float, int] | None:
    return (step.agreement.kl_sum, step.agreement.kl_places) if step.agreement else None


def _interval(sums: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean a place, by a Bayesian bootstrap over clusters."""
    random = np.random.default_rng(0)
    drawn = np.array([random.standard_exponential(len(sums)) @ sums for _ in range(_DRAWS)])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [tail, 1 - tail])
    return float(low), float(high)
