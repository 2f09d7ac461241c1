"""What the page says of a comparison: sentences, the cells of its tables, its plots. No markup but the plots'."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from coalm_lite.evals.statistics.verdicts import Verdict
from coalm_lite.report.comparison import Comparison, MetricResult, RunResult, StratumResult
from coalm_lite.report.html_text import shortened
from coalm_lite.report.numbers import UNKNOWN, divergence, listed, points, share, size, wilson
from coalm_lite.report.plots import LikenessRow, ScorePoint, interval_mark, likeness_by_model, score_by_size

_MOST_NAMED = 2  # metrics that a sentence names
_VERBS = {"holds": "hold", "undecided": "are undecided", "regressed": "regressed"}
_VERB = {"holds": "holds", "undecided": "is undecided", "regressed": "regressed"}


def headline(comparison: Comparison) -> str:
    """The whole verdict in one sentence."""
    if len(comparison.runs) == 1 and comparison.verdict != "holds":
        return sentence(comparison, comparison.runs[0])
    parts = []
    within = f" within {points(comparison.max_drop)} points"
    more = {"holds": within, "undecided": ", more items would tell", "regressed": ""}
    verdicts: tuple[Verdict, ...] = ("regressed", "undecided", "holds")
    for verdict in verdicts:
        labels = [run.label for run in comparison.runs if run.verdict == verdict]
        if labels:
            verb = (_VERB if len(labels) == 1 else _VERBS)[verdict]
            parts.append(f"{listed(labels)} {verb}{more[verdict]}")
    return "; ".join(parts) + "." if parts else "No run to compare was given."


def sentence(comparison: Comparison, run: RunResult) -> str:
    """The verdict on one run, with the metrics that made it."""
    if run.verdict == "holds":
        return f"{run.label} holds within {points(comparison.max_drop)} points.{_worst_case(run)}"
    named = _deciding(run)
    told = [_lost(metric) if run.verdict == "regressed" else _open(metric) for metric in named[:_MOST_NAMED]]
    further = len(named) - _MOST_NAMED
    more = f", and {further} further {'metric' if further == 1 else 'metrics'}" if further > 0 else ""
    because = f": {'; '.join(told)}{more}" if told else ""
    return f"{run.label} {_VERB[run.verdict]}{because}."


def _worst_case(run: RunResult) -> str:
    """How great a drop the intervals leave possible, of a run that holds."""
    lowest = min(_deciding(run), key=lambda metric: metric.low, default=None)
    if lowest is None or not lowest.low <= -0.05:
        return ""
    return f" At worst it lost {points(-lowest.low)} points ({lowest.title}, by the 95 % interval)."


def _deciding(run: RunResult) -> list[MetricResult]:
    """The metrics that a verdict rests on, the greatest drop first."""
    alike = [metric for metric in run.metrics if metric.verdict == run.verdict]
    chosen = [metric for metric in alike if metric.headline] or alike
    return sorted(chosen, key=lambda metric: metric.difference)


def _lost(metric: MetricResult) -> str:
    return (
        f"{metric.title} fell by {points(-metric.difference)} points "
        f"(95 % interval {points(-metric.high)} to {points(-metric.low)})"
    )


def _open(metric: MetricResult) -> str:
    may = f"{metric.title} may have fallen by as much as {points(-metric.low)} points"
    if metric.items_still is None:
        return may
    return f"{may}, and about {metric.items_still:,} more items would decide it"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run's part of a metric's row."""

    run: RunResult
    metric: MetricResult
    mark: Markup


@dataclass(frozen=True, slots=True)
class Row:
    """A metric, as the runs have it; a cell is None where a run lacks it."""

    metric: MetricResult
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class StratumRow:
    """A category of a metric, as the runs have it."""

    stratum: StratumResult
    cells: tuple[StratumResult | None, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot, and a table of its numbers: a heading a column, a row a model."""

    caption: str
    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def rows(comparison: Comparison) -> tuple[Row, ...]:
    """A row for each metric of any run, the headline metrics first."""
    found: dict[tuple[str, str], MetricResult] = {}
    for run in comparison.runs:
        for metric in run.metrics:
            found.setdefault((metric.suite, metric.name), metric)
    ordered = sorted(found.values(), key=lambda metric: not metric.headline)
    return tuple(_row(comparison, metric) for metric in ordered)


def _row(comparison: Comparison, first: MetricResult) -> Row:
    return Row(first, tuple(_cell(comparison.max_drop, run, _same(run, first)) for run in comparison.runs))


def _same(run: RunResult, wanted: MetricResult) -> MetricResult | None:
    return next((metric for metric in run.metrics if (metric.suite, metric.name) == (wanted.suite, wanted.name)), None)


def _cell(max_drop: float, run: RunResult, metric: MetricResult | None) -> Cell | None:
    if metric is None:
        return None
    return Cell(run, metric, interval_mark(metric.difference, metric.low, metric.high, max_drop, metric.verdict))


def by_suite(all_rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows that are no headline, by suite."""
    suites: dict[str, list[Row]] = {}
    for row in all_rows:
        if not row.metric.headline:
            suites.setdefault(row.metric.suite, []).append(row)
    return suites


def by_category(all_rows: Sequence[Row]) -> dict[str, list[tuple[Row, tuple[StratumRow, ...]]]]:
    """By suite, the metrics that have categories, with them."""
    suites: dict[str, list[tuple[Row, tuple[StratumRow, ...]]]] = {}
    for row in all_rows:
        if found := _strata(row):
            suites.setdefault(row.metric.suite, []).append((row, found))
    return suites


def _strata(row: Row) -> tuple[StratumRow, ...]:
    """A metric's categories; empty where it has fewer than two."""
    if len(row.metric.strata) < 2:
        return ()
    return tuple(
        StratumRow(stratum, tuple(_stratum(cell, stratum) for cell in row.cells)) for stratum in row.metric.strata
    )


def _stratum(cell: Cell | None, wanted: StratumResult) -> StratumResult | None:
    if cell is None:
        return None
    return next((stratum for stratum in cell.metric.strata if stratum.stratum == wanted.stratum), None)


def plots(comparison: Comparison, all_rows: Sequence[Row]) -> tuple[Plot, ...]:
    """Each headline metric's score by size, KL divergence where there is any, and the share of changed answers."""
    chosen = [row for row in all_rows if row.metric.headline] or list(all_rows[:1])
    scores = (_score_plot(comparison, row, f"score-{index}") for index, row in enumerate(chosen))
    return (*filter(None, scores), *_likeness_plots(comparison))


def _score_plot(comparison: Comparison, row: Row, name: str) -> Plot | None:
    base = _base_point(comparison, row.metric)
    shown = [_point(cell) for cell in row.cells if cell is not None and _finite(cell.metric)]
    if not math.isfinite(base.score) or not any(point.size_bytes for point in shown):
        return None
    unknown = [point.label for point in (base, *shown) if not point.size_bytes]
    return Plot(
        f"{row.metric.title}, by size",
        score_by_size(name, row.metric.title, base, base.score - comparison.max_drop, shown),
        ("model", "size", "score", "95 % interval"),
        (
            (base.label, size(base.size_bytes), points(base.score), "the base"),
            *(_told(point) for point in shown),
        ),
        f"Without a known size, so not a point here: {listed(unknown)}." if unknown else "",
    )


def _finite(metric: MetricResult) -> bool:
    return all(math.isfinite(value) for value in (metric.base, metric.score, metric.low, metric.high))


def _base_point(comparison: Comparison, metric: MetricResult) -> ScorePoint:
    story = comparison.base.model
    return ScorePoint(comparison.base_label, story.size_bytes, metric.base, metric.base, metric.base, "holds")


def _point(cell: Cell) -> ScorePoint:
    metric, story = cell.metric, cell.run.header.model
    low, high = (min(max(metric.base + end, 0.0), 100.0) for end in (metric.low, metric.high))
    return ScorePoint(cell.run.label, story.size_bytes, metric.score, low, high, metric.verdict)


def _told(point: ScorePoint) -> tuple[str, ...]:
    return point.label, size(point.size_bytes), points(point.score), f"{points(point.low)} to {points(point.high)}"


def _likeness_plots(comparison: Comparison) -> Iterator[Plot]:
    ordered = sorted(comparison.runs, key=lambda run: -run.header.model.size_bytes)
    if any(run.likeness.kl_per_token is not None for run in ordered):
        caption = "KL divergence from the base"
        kl = [_kl_row(run) for run in ordered]
        yield _likeness_plot("kl", caption, "nats a token", kl, "How far the next-token chances moved.")
    changed = [_changed_row(run) for run in ordered]
    yield _likeness_plot(
        "changed", "Items answered otherwise", "% of items", changed, "Whether or not a score changed."
    )


def _likeness_plot(name: str, caption: str, unit: str, shown: Sequence[LikenessRow], note: str) -> Plot:
    columns = ("model", unit, "95 % interval")
    table = tuple((row.label, row.text, _interval(row)) for row in shown)
    return Plot(caption, likeness_by_model(name, caption, unit, shown), columns, table, note)


def _interval(row: LikenessRow) -> str:
    return UNKNOWN if row.low is None or row.high is None else f"{row.low:.3g} to {row.high:.3g}"


def _kl_row(run: RunResult) -> LikenessRow:
    likeness = run.likeness
    text = UNKNOWN if likeness.kl_per_token is None else divergence(likeness.kl_per_token)
    return LikenessRow(run.label, likeness.kl_per_token, likeness.kl_low, likeness.kl_high, text)


def _changed_row(run: RunResult) -> LikenessRow:
    items = run.likeness.items
    changed = items - run.likeness.items_same
    low, high = (100 * end for end in wilson(changed, items))
    value = 100 * changed / items if items else None
    return LikenessRow(run.label, value, low if items else None, high if items else None, share(changed, items))


def settings(comparison: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What the runs were made with: a name and a value a run, the base's first; one value where all are equal."""
    headers = (comparison.base, *(run.header for run in comparison.runs))
    listed_values: dict[str, tuple[str, ...]] = {
        "machine": tuple(header.machine or UNKNOWN for header in headers),
        "seed": tuple(str(header.seed) for header in headers),
        "grammar": tuple("on" if header.grammar else "off" for header in headers),
        "log-probabilities kept a token": tuple(str(header.top_logprobs) for header in headers),
    }
    names = dict.fromkeys(name for header in headers for name in header.versions)
    for name in names:
        listed_values[f"{name} (version)"] = tuple(header.versions.get(name, UNKNOWN) for header in headers)
    return tuple((name, values[:1] if len(set(values)) == 1 else values) for name, values in listed_values.items())


def _drawn(comparison: Comparison) -> int:
    """What `--items` draws these sets; 0 of whole suites, and where no one number does."""
    suites = comparison.base.suites
    most = max((suite.items_drawn for suite in suites if suite.items_drawn < suite.items_in_all), default=0)
    return most if all(suite.items_drawn == min(most, suite.items_in_all) for suite in suites) else 0


def commands(comparison: Comparison) -> tuple[str, ...]:
    """The commands that give such runs and such a report, as far as the runs' first lines tell."""
    headers = (comparison.base, *(run.header for run in comparison.runs))
    suites = ",".join(shortened(suite.name, 100) for suite in comparison.base.suites)
    drawn = _drawn(comparison)
    seed = f" --items {drawn} --seed {comparison.base.seed}" if drawn else ""
    grammar = "" if comparison.base.grammar else " --no-grammar"
    files = ["BASE.jsonl", *(f"RUN{number}.jsonl" for number in range(1, len(headers)))]
    runs = (
        f"coalm-lite eval {shortened(header.model.name, 200)} --suite {suites}{seed}{grammar}"
        f"{' --base BASE.jsonl' if header.base_sha256 else ''} -o {file}"
        for header, file in zip(headers, files, strict=True)
    )
    report = f"coalm-lite report {' '.join(files)} --html report.html --max-drop {comparison.max_drop:g}"
    return (*runs, shortened(report, 1000))
