"""The report's plots as SVG: a score against the models' sizes, likeness by model, and the mark of an interval.

Each has a title, a description that says its numbers, and text labels; the page sets a table of the same numbers
beside it. Colours are the page's, by class: the plots follow dark mode and print. Verdicts differ in shape too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from coalm_lite.evals.statistics.verdicts import Verdict
from coalm_lite.report.html_text import shortened
from coalm_lite.report.numbers import points, size, ticks_of_size
from coalm_lite.report.scales import Scale, linear, logarithmic
from coalm_lite.report.svg import Box, clear_of, cut_label, element, picture

WIDTH = 360.0
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 250.0, 40.0, 12.0, 12.0, 40.0
_ROW, _LABELS, _VALUES = 30.0, 92.0, 66.0
_MARK_WIDTH, _MARK_HEIGHT = 120.0, 16.0
_MARK_SPAN = (-4.0, 2.0)  # of an interval's mark, in allowed drops: the same in all cells, so that eyes can compare
_MOST_LABELS = 30  # of a plot: more could not be read, and placing them would take long
_FEWEST_OF_LOG = 20.0  # a logarithmic scale, where the greatest is at least so many times the smallest


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """One model on the plot of a score; `low` to `high` is where its score lies, beside the base's."""

    label: str
    size_bytes: int
    score: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class LikenessRow:
    """One model on the plot of a likeness; the value is None where it was not measured."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str


def score_by_size(name: str, title: str, base: ScorePoint, floor: float, shown: Sequence[ScorePoint]) -> Markup:
    """A score against the models' sizes, with intervals, the base's score and the lowest that still holds."""
    sizes = [point.size_bytes for point in (base, *shown) if point.size_bytes]
    across = logarithmic(sizes, _LEFT + 6, WIDTH - _RIGHT - 6)
    values = [base.score, floor, *(value for point in shown for value in (point.score, point.low, point.high))]
    up = linear([min(max(value, 0.0), 100.0) for value in values], _HEIGHT - _BOTTOM, _TOP)
    told = "; ".join(f"{p.label}, {size(p.size_bytes)}: {points(p.score)}, {p.verdict}" for p in shown)
    return picture(
        name,
        f"{title} by size of the model",
        shortened(f"The base {base.label} scores {points(base.score)}; down to {points(floor)} holds. {told}.", 1000),
        WIDTH,
        _HEIGHT,
        (*_axes(across, up), *_base(base, floor, across, up), *_points(base, shown, across, up)),
    )


def _axes(across: Scale, up: Scale) -> Iterator[Markup]:
    right, bottom = WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for tick in up.ticks:
        y = up.at(tick)
        yield element("line", class_="grid", x1=_LEFT, x2=right, y1=y, y2=y)
        yield element("text", f"{tick:g}", class_="tick", x=_LEFT - 6, y=y + 4, text_anchor="end")
    for tick, label in ticks_of_size(across.ticks):
        x = across.at(tick)
        yield element("line", class_="axis", x1=x, x2=x, y1=bottom, y2=bottom + 4)
        yield element("text", label, class_="tick", x=x, y=bottom + 17, text_anchor="middle")
    yield element("line", class_="axis", x1=_LEFT, x2=right, y1=bottom, y2=bottom)
    yield element("text", "size of the file", class_="tick", x=(_LEFT + right) / 2, y=_HEIGHT - 7, text_anchor="middle")


def _base(base: ScorePoint, floor: float, across: Scale, up: Scale) -> Iterator[Markup]:
    right, top, bottom = WIDTH - _RIGHT, up.at(base.score), up.at(floor)
    yield element("rect", class_="allowed", x=_LEFT, y=top, width=right - _LEFT, height=max(bottom - top, 0.0))
    yield element("line", class_="base", x1=_LEFT, x2=right, y1=top, y2=top)
    yield element("line", class_="floor", x1=_LEFT, x2=right, y1=bottom, y2=bottom)
    if base.size_bytes:
        yield element("circle", class_="base", cx=across.at(base.size_bytes), cy=top, r=4.5)


def _points(base: ScorePoint, shown: Sequence[ScorePoint], across: Scale, up: Scale) -> Iterator[Markup]:
    """The base's label, then each point with its interval and label."""
    sized = [point for point in shown if point.size_bytes]
    boxes = [_box(point, across, up) for point in sized]
    within = Box(_LEFT + 2, _TOP - 10, WIDTH - _LEFT - 2, _HEIGHT - _BOTTOM - _TOP + 8)
    x = across.at(base.size_bytes) if base.size_bytes else WIDTH - _RIGHT
    around = Box(x - 5, up.at(base.score) - 5, 10, 10)
    taken = [*boxes, around]
    labelled = list(zip(sized, boxes, strict=True))[:_MOST_LABELS]
    for label, style, box in [
        (cut_label(base.label), "label", around),
        *((cut_label(point.label), f"label {point.verdict}", box) for point, box in labelled),
    ]:
        place = clear_of(label, box, taken, within)
        taken.append(place)
        middle = place.left + place.width / 2
        yield element("text", label, class_=style, x=middle, y=place.top + 10, text_anchor="middle")
    for point in sized:
        x = across.at(point.size_bytes)
        yield element("path", class_=f"whisker {point.verdict}", d=_upright(x, up.at(point.low), up.at(point.high)))
        yield _shape(point.verdict, x, up.at(point.score))


def _box(point: ScorePoint, across: Scale, up: Scale) -> Box:
    x, top, bottom = across.at(point.size_bytes), up.at(point.high), up.at(point.low)
    return Box(x - 5, min(top, up.at(point.score) - 5), 10, max(bottom - top, 10.0))


def _upright(x: float, bottom: float, top: float) -> str:
    return f"M{x - 3:.1f} {bottom:.1f}h6M{x:.1f} {bottom:.1f}V{top:.1f}M{x - 3:.1f} {top:.1f}h6"


def _shape(verdict: Verdict, x: float, y: float) -> Markup:
    """A dot for what holds, a cross for what regressed, an open square for what is undecided."""
    if verdict == "holds":
        return element("circle", class_="dot holds", cx=x, cy=y, r=4.5)
    if verdict == "regressed":
        return element("path", class_="cross regressed", d=f"M{x - 4.5:.1f} {y - 4.5:.1f}l9 9m0 -9l-9 9")
    return element("rect", class_="open undecided", x=x - 4.5, y=y - 4.5, width=9, height=9)


def likeness_by_model(name: str, title: str, unit: str, rows: Sequence[LikenessRow]) -> Markup:
    """A row a model: its value as a dot, its interval as a line, and the value as text."""
    height = _TOP + len(rows) * _ROW + _BOTTOM
    across = _likeness_scale(rows)
    told = "; ".join(f"{row.label}: {row.text}" for row in rows)
    body = [*_likeness_axis(across, height, unit)]
    for index, row in enumerate(rows):
        body += _likeness_row(row, _TOP + (index + 0.5) * _ROW, across)
    return picture(name, title, shortened(f"{title}. {told}.", 1000), WIDTH, height, body)


def _likeness_scale(rows: Sequence[LikenessRow]) -> Scale:
    values = [value for row in rows for value in (row.value, row.low, row.high) if value is not None]
    start, end = _LABELS + 8, WIDTH - _VALUES - 8
    above = [value for value in values if value > 0]
    if above and len(above) == len(values) and max(above) / min(above) >= _FEWEST_OF_LOG:
        return logarithmic(above, start, end)
    return Scale(0.0, (max(above) if above else 1.0) * 1.05, start, end)


def _likeness_axis(across: Scale, height: float, unit: str) -> Iterator[Markup]:
    bottom = height - _BOTTOM
    for tick in across.ticks:
        x = across.at(tick)
        yield element("line", class_="grid", x1=x, x2=x, y1=_TOP, y2=bottom)
        yield element("text", f"{tick:g}", class_="tick", x=x, y=bottom + 16, text_anchor="middle")
    yield element("line", class_="axis", x1=across.start, x2=across.end, y1=bottom, y2=bottom)
    scale = " (logarithmic)" if across.logarithmic else ""
    yield element("text", unit + scale, class_="tick", x=WIDTH / 2, y=height - 7, text_anchor="middle")


def _likeness_row(row: LikenessRow, y: float, across: Scale) -> Iterator[Markup]:
    yield element("text", cut_label(row.label, 14), class_="label", x=_LABELS, y=y + 4, text_anchor="end")
    yield element("text", row.text, class_="label", x=WIDTH - _VALUES, y=y + 4)
    if row.value is None:
        return
    x = across.at(row.value)
    if row.low is not None and row.high is not None:
        left, right = across.at(row.low), across.at(row.high)
        whisker = f"M{left:.1f} {y - 3:.1f}v6M{left:.1f} {y:.1f}H{right:.1f}M{right:.1f} {y - 3:.1f}v6"
        yield element("path", class_="whisker", d=whisker)
    yield element("circle", class_="dot", cx=x, cy=y, r=4.5)


def mark_span(max_drop: float) -> tuple[float, float]:
    """From where to where, in points, the intervals' marks reach."""
    allowed = max(max_drop, 0.5)
    return _MARK_SPAN[0] * allowed, _MARK_SPAN[1] * allowed


def interval_mark(difference: float, low: float, high: float, max_drop: float, verdict: Verdict) -> Markup:
    """A small mark of an interval: a line at no change, a dashed one at the allowed drop, arrows where it goes on.

    Hidden from screen readers: the cell says its numbers. Empty where there are none.
    """
    if not all(math.isfinite(value) for value in (difference, low, high)):
        return Markup("")
    least, most = mark_span(max_drop)
    across = Scale(least, most, 6.0, _MARK_WIDTH - 6)
    middle, left, right = _MARK_HEIGHT / 2, across.at(low), across.at(high)
    return element(
        "svg",
        element("path", class_="axis", d=f"M{across.start:g} {middle:g}H{across.end:g}"),
        element("path", class_="floor", d=f"M{across.at(-max_drop):.1f} 1V{_MARK_HEIGHT - 1:g}"),
        element("path", class_="zero", d=f"M{across.at(0.0):.1f} 1V{_MARK_HEIGHT - 1:g}"),
        element("path", class_=f"range {verdict}", d=f"M{left:.1f} {middle:g}H{max(right, left + 1):.1f}"),
        *(_arrow(across.start, middle, -1, verdict) for _ in (0,) if low < least),
        *(_arrow(across.end, middle, 1, verdict) for _ in (0,) if high > most),
        *(_shape_in_mark(across.at(difference), middle, verdict) for _ in (0,) if least <= difference <= most),
        class_="mark",
        aria_hidden="true",
        viewBox=f"0 0 {_MARK_WIDTH:g} {_MARK_HEIGHT:g}",
    )


def _arrow(x: float, y: float, direction: int, verdict: Verdict) -> Markup:
    return element("path", class_=f"arrow {verdict}", d=f"M{x:g} {y - 4:g}v8l{direction * 6} -4z")


def _shape_in_mark(x: float, y: float, verdict: Verdict) -> Markup:
    return element("circle", class_=f"dot {verdict}", cx=x, cy=y, r=3.5)
