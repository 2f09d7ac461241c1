"""A comparison as Markdown for a pull request: the verdict, the headline figures, the rest and some flips folded.

What models wrote is fenced, with a fence longer than any in it; names and notes lose what Markdown would read in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from coalm_lite.report import numbers
from coalm_lite.report.comparison import Comparison, Flip, MetricResult, RunResult
from coalm_lite.report.words import items_still_words, verdict_sentence

_MARKS = {"holds": "✅ holds", "regressed": "❌ regressed", "undecided": "❔ undecided"}
_HEADINGS = ("model", "suite", "metric", "base", "score", "difference", "95 % interval", "p (Holm)", "verdict")
_FLIPS = 5  # of each run
_TEXT = 600  # characters of an answer
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def render(comparison: Comparison) -> str:
    """The Markdown text."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"## {_MARKS[comparison.verdict]}: {_plain(verdict_sentence(comparison))}"
    yield ""
    yield from _table(comparison.runs, headline=True)
    yield ""
    for run in comparison.runs:
        yield f"- **{_plain(run.label)}**: {_likeness(run)}"
    for note in comparison.notes:
        yield f"- {_plain(note)}"
    if any(not metric.headline for run in comparison.runs for metric in run.metrics):
        yield from _folded("Other figures", list(_table(comparison.runs, headline=False)))
    for run in comparison.runs:
        lost = [flip for flip in run.flips if flip.kind != "won"]
        if lost:
            title = f"{_plain(run.label)}: {len(lost)} items lost, {len(run.flips) - len(lost)} won"
            yield from _folded(title, [line for flip in lost[:_FLIPS] for line in _flip(flip)])


def _table(runs: Sequence[RunResult], headline: bool) -> Iterator[str]:
    yield f"| {' | '.join(_HEADINGS)} |"
    yield f"| {' | '.join(['---'] * 3 + ['--:'] * 5 + ['---'])} |"
    for run in runs:
        for metric in run.metrics:
            if metric.headline == headline:
                yield f"| {' | '.join(_row(run, metric))} |"


def _row(run: RunResult, metric: MetricResult) -> tuple[str, ...]:
    interval = f"{numbers.signed(metric.low)} to {numbers.signed(metric.high)}"
    still = items_still_words(metric)
    return (
        _plain(run.label),
        _plain(metric.suite),
        _plain(metric.title),
        numbers.points(metric.base),
        numbers.points(metric.score),
        numbers.signed(metric.difference),
        interval,
        numbers.probability(metric.p_holm).removeprefix("= "),
        f"{_MARKS[metric.verdict]}{f' ({still})' if still else ''}",
    )


def _likeness(run: RunResult) -> str:
    like = run.likeness
    told = [f"{numbers.share(like.items_same, like.items)} of {like.items} items answered alike"]
    if like.tokens and like.tokens_same is not None:
        told.append(f"{numbers.share(like.tokens_same, like.tokens)} of the base's tokens agree")
    if like.kl_per_token is not None:
        told.append(f"KL divergence {numbers.divergence(like.kl_per_token)} nats a token")
    return "; ".join(told)


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield ""
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def _flip(flip: Flip) -> Iterator[str]:
    yield f"**{_plain(flip.suite)} {_plain(flip.id)}**: {_plain(flip.other.note) or 'no note'}"
    for title, item in (("base", flip.base), ("this", flip.other)):
        yield f"{title}:"
        yield from _fenced("\n".join(step.text for step in item.steps))


def _fenced(text: str) -> Iterator[str]:
    """A text of a model's as it is, cut where it is long; nothing in it can end the fence."""
    shown = text if len(text) <= _TEXT else f"{text[:_TEXT]}… ({len(text)} characters)"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    yield fence
    yield shown.encode(errors="replace").decode()
    yield fence


def _plain(text: str) -> str:
    """A text on one line, in which Markdown and HTML find nothing."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.encode(errors="replace").decode().split())).replace("\\<", "&lt;")
