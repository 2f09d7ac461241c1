"""`coalm-lite report --write-scores MODEL`: what a comparison found of a model, kept with the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.report.comparison import Comparison, RunResult
    from coalm_lite.store.provenance import Score


def keep_scores(comparison: Comparison, name: str, copy: Path | None) -> Path:
    """Write the headline scores of the run of this model; returns the file that has them.

    UsageError where none of the runs is of this file, told by its hash.
    """
    from coalm_lite.evals.running.model_story import file_story
    from coalm_lite.store.names import resolve_model
    from coalm_lite.store.scores import write_scores

    model = resolve_model(name)
    story = file_story(model)
    runs = [run for run in comparison.runs if run.header.model.sha256 == story.sha256]
    if not runs:
        raise UsageError(
            f"none of the runs is of {name}: its SHA-256 is {story.sha256[:12]}...",
            "Name the file that was evaluated; scores that were written into it since have changed its hash.",
        )
    return write_scores(model, tuple(_scores(comparison, runs[0])), copy)


def _scores(comparison: Comparison, run: RunResult) -> Iterator[Score]:
    from coalm_lite.store.provenance import Score

    drawn = {suite.name: suite.items_drawn for suite in run.header.suites}
    for metric in run.metrics:
        if metric.headline:
            yield Score(
                name=f"{metric.suite}.{metric.name}",
                value=round(metric.score, 4),
                items=drawn[metric.suite],
                base=round(metric.base, 4),
                base_name=comparison.base_label,
                low=round(metric.low, 4),
                high=round(metric.high, 4),
                verdict=metric.verdict,
            )
