"""A comparison as one JSON object, for programs: every figure, note and flip, with the names of the values.

Of flipped items the answers' texts, scores and notes are told, not their tokens: those stand in the run files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from coalm_lite.evals.run import ItemResult
from coalm_lite.report.comparison import Comparison, Flip, RunResult

FORMAT = 1


def as_json(comparison: Comparison) -> Mapping[str, Any]:
    """The comparison as JSON values."""
    return {
        "format": FORMAT,
        "verdict": comparison.verdict,
        "max_drop": comparison.max_drop,
        "base": {"label": comparison.base_label, "header": asdict(comparison.base)},
        "runs": [_run(run) for run in comparison.runs],
        "notes": list(comparison.notes),
    }


def render(comparison: Comparison) -> str:
    """The JSON text."""
    return json.dumps(as_json(comparison), ensure_ascii=False, indent=1) + "\n"


def _run(run: RunResult) -> Mapping[str, Any]:
    return {
        "label": run.label,
        "header": asdict(run.header),
        "verdict": run.verdict,
        "metrics": [asdict(metric) for metric in run.metrics],
        "likeness": asdict(run.likeness),
        "flips": [_flip(flip) for flip in run.flips],
    }


def _flip(flip: Flip) -> Mapping[str, Any]:
    return {
        "kind": flip.kind,
        "suite": flip.suite,
        "id": flip.id,
        "stratum": flip.stratum,
        "cluster": flip.cluster,
        "changes": [asdict(change) for change in flip.changes],
        "base": _side(flip.base),
        "other": _side(flip.other),
    }


def _side(item: ItemResult) -> Mapping[str, Any]:
    return {"texts": [step.text for step in item.steps], "note": item.note}
