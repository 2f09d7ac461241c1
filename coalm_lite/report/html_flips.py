"""The flipped items as the page shows them: both answers side by side, shortened around what differs, in fair turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from coalm_lite.evals.run import Step
from coalm_lite.report.comparison import Comparison, Flip, RunResult
from coalm_lite.report.differences import Piece, differences
from coalm_lite.report.html_text import shortened
from coalm_lite.report.numbers import points


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a flip is shown: answers that differ, characters an answer, of them in an equal stretch, pieces."""

    answers: int
    characters: int
    equal: int
    pieces: int


GENEROUS = Bounds(4, 3000, 320, 400)
TIGHT = Bounds(1, 400, 120, 40)


@dataclass(frozen=True, slots=True)
class Side:
    """One model's answer; `missing` where the conversation had no such answer, `left_out` characters at its end."""

    pieces: tuple[Piece, ...]
    end: str = ""
    left_out: int = 0
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer of both, which differ; `number` counts from 1."""

    number: int
    asked: str
    base: Side
    other: Side


@dataclass(frozen=True, slots=True)
class ShownFlip:
    """A flip, ready for the page. `run`, `suite` and `metrics` are numbers: what the filter compares."""

    number: int
    run: int
    suite: int
    metrics: tuple[int, ...]
    label: str
    flip: Flip
    changes: tuple[tuple[str, str, str, str], ...]  # metric, unit ("" of the item itself), base, score
    answers: int
    pairs: tuple[Pair, ...]
    pairs_left_out: int


class Names:
    """The suites and metrics by number, so that no name of a run gets into the filter's code."""

    def __init__(self, comparison: Comparison) -> None:
        metrics = [metric for run in comparison.runs for metric in run.metrics]
        flips = [flip for run in comparison.runs for flip in run.flips]
        self.suites = tuple(dict.fromkeys([*(m.suite for m in metrics), *(flip.suite for flip in flips)]))
        titles = {(metric.suite, metric.name): metric.title for metric in metrics}
        changed = {(flip.suite, change.metric): change.metric for flip in flips for change in flip.changes}
        self.metrics = {key: titles.get(key, title) for key, title in (titles | changed).items()}
        self._number = {key: number for number, key in enumerate(self.metrics)}
        self._flipped = frozenset(changed)

    def metric(self, suite: str, name: str) -> int:
        """A metric's number."""
        return self._number[suite, name]

    def choices(self) -> dict[str, list[tuple[int, str]]]:
        """By suite, the metrics by which anything flipped: number and title."""
        found: dict[str, list[tuple[int, str]]] = {}
        for (suite, name), title in self.metrics.items():
            if (suite, name) in self._flipped:
                found.setdefault(suite, []).append((self._number[suite, name], title))
        return found


def in_turn(comparison: Comparison) -> Iterator[tuple[int, int, Flip]]:
    """Run, place in it, and flip: in turn from every run, suite and direction, so that none is crowded out."""
    groups: dict[tuple[int, str, str], list[tuple[int, int, Flip]]] = {}
    for run_number, run in enumerate(comparison.runs):
        for place, flip in enumerate(run.flips):
            groups.setdefault((run_number, flip.suite, flip.kind), []).append((run_number, place, flip))
    for turn in zip_longest(*groups.values()):
        yield from (found for found in turn if found is not None)


def shown(names: Names, run: RunResult, run_number: int, number: int, flip: Flip, bounds: Bounds) -> ShownFlip:
    """A flip with its answers that differ, within bounds."""
    pairs = list(_pairs(flip, bounds))
    metrics = dict.fromkeys(names.metric(flip.suite, change.metric) for change in flip.changes)
    return ShownFlip(
        number=number,
        run=run_number,
        suite=names.suites.index(flip.suite),
        metrics=tuple(metrics),
        label=run.label,
        flip=flip,
        changes=_changes(names, flip, most=8 * bounds.answers),
        answers=max(len(flip.base.steps), len(flip.other.steps)),
        pairs=tuple(pairs[: bounds.answers]),
        pairs_left_out=max(len(pairs) - bounds.answers, 0),
    )


def _changes(names: Names, flip: Flip, most: int) -> tuple[tuple[str, str, str, str], ...]:
    return tuple(
        (
            names.metrics[flip.suite, change.metric],
            "" if change.unit == flip.id else shortened(change.unit, 100),
            points(change.base),
            points(change.score),
        )
        for change in flip.changes[:most]
    )


def _pairs(flip: Flip, bounds: Bounds) -> Iterator[Pair]:
    """The answers that differ; those beyond the bound only count, and are not compared."""
    found = 0
    for number, (base, other) in enumerate(zip_longest(flip.base.steps, flip.other.steps), start=1):
        if (
            base is not None
            and other is not None
            and (base.text, base.end, base.error) == (other.text, other.end, other.error)
        ):
            continue
        found += 1
        yield _pair(number, base, other, bounds) if found <= bounds.answers else Pair(number, "", _NONE, _NONE)


def _pair(number: int, base: Step | None, other: Step | None, bounds: Bounds) -> Pair:
    left, right = differences(base or _EMPTY, other or _EMPTY)
    asked = next((step.asked for step in (base, other) if step is not None and step.asked), "")
    return Pair(number, shortened(asked, bounds.characters), _side(base, left, bounds), _side(other, right, bounds))


_EMPTY = Step("", 0, "", "stop")
_NONE = Side((), missing=True)
_ENDS = {"stop": "", "length": "cut off at the most tokens allowed", "error": "no answer"}


def _side(step: Step | None, pieces: Sequence[Piece], bounds: Bounds) -> Side:
    if step is None:
        return _NONE
    end = shortened(f"{_ENDS[step.end]}: {step.error}" if step.error else _ENDS[step.end], bounds.characters)
    kept, left_out = _kept(pieces, bounds)
    return Side(kept, end, left_out)


def _kept(pieces: Sequence[Piece], bounds: Bounds) -> tuple[tuple[Piece, ...], int]:
    """The pieces within bounds, long equal stretches folded; and how many characters are left out after them."""
    kept: list[Piece] = []
    room = bounds.characters
    for index, piece in enumerate(pieces):
        text = piece.text if piece.differs else _folded(piece.text, index, len(pieces), bounds.equal)
        if len(text) > room or len(kept) == bounds.pieces:
            begun = text[:room] if piece.differs and len(kept) < bounds.pieces else ""
            left_out = sum(len(later.text) for later in pieces[index:]) - len(begun)
            return (*kept, Piece(begun, True)) if begun else tuple(kept), left_out
        kept.append(Piece(text, piece.differs))
        room -= len(text)
    return tuple(kept), 0


def _folded(text: str, index: int, count: int, most: int) -> str:
    """A stretch that is the same on both sides; where it is long, only what is near a difference."""
    if len(text) <= most:
        return text
    first, last = (0 if index == 0 else most // 2), (0 if index == count - 1 and index else most // 2)
    head, tail = text[:first], text[len(text) - last :]
    return f"{head} [… {len(text) - first - last:,} characters, the same in both …] {tail}"
