"""The sentences that every form of the report begins with: what came of it, and how many items more would decide."""

from __future__ import annotations

from coalm_lite.report import numbers
from coalm_lite.report.comparison import Comparison, MetricResult


def verdict_sentence(comparison: Comparison) -> str:
    """`Q2_K regressed, Q4_K_M is undecided, Q8_0 holds beside F16 (a drop of up to 2 points is allowed)`."""
    said = [
        f"{numbers.listed(labels)} {words[len(labels) > 1]}"
        for verdict, words in _VERBS.items()
        if (labels := [run.label for run in comparison.runs if run.verdict == verdict])
    ]
    allowed = f"a drop of up to {comparison.max_drop:g} points is allowed"
    return f"{', '.join(said)} beside {comparison.base_label} ({allowed})"


def items_still_words(metric: MetricResult) -> str:
    """`410 items more`; "" for a metric that is decided."""
    return f"{metric.items_still:,} items more" if metric.verdict == "undecided" and metric.items_still else ""


_VERBS = {
    "regressed": ("regressed", "regressed"),
    "undecided": ("is undecided", "are undecided"),
    "holds": ("holds", "hold"),
}
