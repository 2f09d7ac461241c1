"""Runs that cannot be compared are refused with what differs, where, and what to do; careful readers are told more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coalm_lite.errors import EvalError
from coalm_lite.evals.items import Metric
from coalm_lite.evals.run import Run
from coalm_lite.report.checks import cautions
from coalm_lite.report.compare import compare
from tests.report.runs import METRICS, Change, run, with_suite

BASE = run()


def header(**changes: object) -> Change:
    def changed(other: Run) -> Run:
        return Run(replace(other.header, **changes), other.items)  # type: ignore[arg-type]

    return changed


def suite(**changes: object) -> Change:
    return lambda other: with_suite(other, **changes)


REFUSED: dict[str, tuple[Change, str]] = {
    "other items": (
        suite(items_sha256="d" * 64),
        "q.jsonl: its items of smoke are others than the base's: dddddddddddd",
    ),
    "another template": (
        suite(template_sha256="e" * 64),
        "its template .* of smoke is eeeeeeeeeeee, and the base's is c",
    ),
    "another dialect": (suite(dialect="cra"), "its dialect of smoke is cra, and the base's is hammer"),
    "fewer items": (suite(items_drawn=7), "its number of items of smoke is 7, and the base's is 300"),
    "no grammar": (header(grammar=False), "q.jsonl was made without a grammar, and the base with"),
    "another suite": (lambda _: run("Q2_K", suites=("smoke", "bfcl")), "the suite bfcl is not in the base run"),
    "a suite less": (lambda _: run("Q2_K", suites=("bfcl",)), "the suite smoke is not in q.jsonl"),
    "a metric less": (suite(metrics=METRICS[:2]), "smoke has 2 metrics, the base 3"),
    "another metric": (
        suite(metrics=(Metric("passed", "passed", weights={"easy": 1.0}, headline=True), *METRICS[1:])),
        "smoke defines passed as",
    ),
    "another item": (
        lambda other: Run(other.header, (replace(other.items[0], id="new"), *other.items[1:])),
        "items of smoke are in one run alone",
    ),
    "another cluster": (
        lambda other: Run(other.header, (replace(other.items[0], cluster="x"), *other.items[1:])),
        "the item '0' of smoke is of another stratum or cluster",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_refused(name: str) -> None:
    change, words = REFUSED[name]
    with pytest.raises(EvalError, match=words) as caught:
        compare(BASE, [change(run("Q2_K"))], 2.0, ["q.jsonl"])
    assert caught.value.hint


CAREFUL: dict[str, tuple[Change, str]] = {
    "another seed": (header(seed=7), "was run with seed 7, the base with 0"),
    "another machine": (header(machine="arm"), "on another machine than the base: arm and x86_64"),
    "another version": (
        header(versions={"coalm-lite": "0.2.0"}),
        "other versions than the base: coalm-lite 0.2.0 (0.1.0)",
    ),
    "another vocabulary": (
        lambda other: Run(
            replace(other.header, model=replace(other.header.model, vocabulary_sha256="bb")), other.items
        ),
        "another vocabulary than the base",
    ),
}


@pytest.mark.parametrize("name", CAREFUL)
def test_what_a_reader_must_know_is_told(name: str) -> None:
    change, words = CAREFUL[name]
    comparison = compare(BASE, [change(run("Q2_K"))], 2.0)
    assert [note for note in comparison.notes if words in note]


def test_like_runs_need_no_caution() -> None:
    assert not list(cautions(BASE.header, run("Q2_K").header, "Q2_K"))
