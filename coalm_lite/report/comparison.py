"""What a report says, as values: for each quantized model's run the figures beside the base's, verdicts, and flips.

Scores, differences, intervals and drops are in points, 0 to 100, as people speak of them; a difference is score minus
base, so that a drop is below 0. `report/compare.py` makes these values; HTML, Markdown, JSON and the command only read
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from coalm_lite.evals.run import ItemResult, RunHeader
from coalm_lite.evals.statistics.verdicts import Verdict

FlipKind: TypeAlias = Literal["lost", "won", "mixed"]


@dataclass(frozen=True, slots=True)
class Published:
    """A score that was published of the unquantized model, for orientation: other prompts, another runner."""

    score: float
    model: str  # "CoALM 8B"
    source: str  # "paper", "BFCL leaderboard"


@dataclass(frozen=True, slots=True)
class StratumResult:
    """One stratum of a metric, BFCL's category say: both scores and how many units were scored."""

    stratum: str
    units: int
    base: float
    score: float
    weight: float  # of it in the metric's score; 0 where it only counts for others


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One figure of a run beside the base's.

    `low` to `high` is the 95 % interval of `difference`. `p` is the one-sided probability of so great a drop if there
    were none, by `test` ("McNemar, exact"); `p_holm` is corrected for all metrics tested beside it. `lost` and `won`
    count the units whose score fell and rose. `items_still`: how many further items would decide an undecided verdict,
    0 for a decided one, None where no number can be said.
    """

    suite: str
    name: str
    title: str
    headline: bool
    pass_fail: bool
    base: float
    score: float
    difference: float
    low: float
    high: float
    test: str
    p: float
    p_holm: float
    verdict: Verdict
    items_still: int | None
    units: int
    clusters: int
    lost: int
    won: int
    strata: tuple[StratumResult, ...] = ()
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A unit's score that changed: `unit` is its id, `metric` the metric's name, scores in points."""

    unit: str
    metric: str
    base: float
    score: float


@dataclass(frozen=True, slots=True)
class Flip:
    """An item at least one of whose scores changed: both sides with their texts, tokens and notes."""

    kind: FlipKind
    suite: str
    id: str
    stratum: str
    cluster: str
    changes: tuple[Change, ...]
    base: ItemResult
    other: ItemResult


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike the two models' answers are, whatever their scores.

    Items are alike when every answer's text is. Tokens and KL divergence (nats a token, from base to this model) are of
    a differential run only: None otherwise, and KL also where the base run kept no log-probabilities. `kl_low` to
    `kl_high` is the 95 % interval of `kl_per_token` (items drawn again by cluster), None where it was not computed.
    """

    items: int
    items_same: int
    tokens: int | None = None
    tokens_same: int | None = None
    kl_per_token: float | None = None
    kl_places: int = 0
    kl_low: float | None = None
    kl_high: float | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """One model beside the base. `label` names it in the report, unlike every other; headline metrics stand first."""

    label: str
    header: RunHeader
    verdict: Verdict
    metrics: tuple[MetricResult, ...]
    flips: tuple[Flip, ...]
    likeness: Likeness


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of a report. `verdict` is the worst of its runs': regressed, else undecided, else holds."""

    base_label: str
    base: RunHeader
    runs: tuple[RunResult, ...]
    max_drop: float
    verdict: Verdict
    notes: tuple[str, ...] = ()  # what a reader must know: no KL, other machines or versions
