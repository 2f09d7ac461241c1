"""The report as one HTML file: nothing is loaded from anywhere, all is readable without its script, and it stays small.

What models wrote is hostile: every text goes through `html_text.finalized` and Jinja's escaping, and the page's policy
(Content-Security-Policy) allows only this file's own style and script, by their hashes. The file never gets beyond
`MAX_BYTES`: flips that have no room are left out in fair turns, and the page says how many.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from markupsafe import Markup

from coalm_lite import __version__
from coalm_lite.errors import EvalError
from coalm_lite.report import html_page, numbers
from coalm_lite.report.comparison import Comparison, Flip
from coalm_lite.report.html_flips import GENEROUS, TIGHT, Bounds, Names, in_turn, shown
from coalm_lite.report.html_text import finalized, shortened
from coalm_lite.report.plots import mark_span

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_BYTES = 2_000_000
_MOST_A_FLIP = 24_000  # bytes: a longer one is shown shorter, so that a few do not take all the room
_SPARE = 4_000  # bytes, for the numbers that are known only when the flips are chosen
_MOST_A_LABEL = 80  # characters of a model's name, which stands in many places
_MOST_A_TEXT = 1_000  # characters of a text of a run's header


def render(comparison: Comparison) -> str:
    """The page. EvalError where even without any flip it would be over `MAX_BYTES`."""
    names = Names(comparison)
    in_all = sum(len(run.flips) for run in comparison.runs)
    without = _page(comparison, names, _Chosen((), in_all))
    room = MAX_BYTES - _SPARE - _bytes(without)
    if room < 0:
        raise EvalError(
            f"The HTML report of {len(comparison.runs)} runs is {_bytes(without):,} bytes before any flipped item; "
            f"the most is {MAX_BYTES:,}",
            "Give fewer runs to one report, or use --json.",
        )
    page = _page(comparison, names, _Chosen(_chosen(comparison, names, room), in_all))
    assert _bytes(page) <= MAX_BYTES, f"the HTML report is {_bytes(page)} bytes"
    return page


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The flips that have room, as markup, and how many there are in all."""

    flips: tuple[Markup, ...]
    in_all: int

    @property
    def left_out(self) -> int:
        return self.in_all - len(self.flips)


def _chosen(comparison: Comparison, names: Names, room: int) -> tuple[Markup, ...]:
    """Flips in turn from every group until the room is used, in the order of the runs."""
    chosen: list[tuple[int, int, Markup]] = []
    for run_number, place, markup in _fragments(comparison, names):
        room -= _bytes(markup)
        if room < 0:
            break
        chosen.append((run_number, place, markup))
    return tuple(markup for _, _, markup in sorted(chosen, key=lambda found: found[:2]))


def _fragments(comparison: Comparison, names: Names) -> Iterator[tuple[int, int, Markup]]:
    for number, (run_number, place, flip) in enumerate(in_turn(comparison), start=1):
        markup = _fragment(comparison, names, run_number, number, flip, GENEROUS)
        if _bytes(markup) > _MOST_A_FLIP:
            markup = _fragment(comparison, names, run_number, number, flip, TIGHT)
        yield run_number, place, markup


def _fragment(comparison: Comparison, names: Names, run_number: int, number: int, flip: Flip, bounds: Bounds) -> Markup:
    values = shown(names, comparison.runs[run_number], run_number, number, flip, bounds)
    template = _environment().get_template("flip.html.j2")
    return Markup(template.render(item=values, base_label=comparison.base_label, most=bounds.characters))


def _page(comparison: Comparison, names: Names, chosen: _Chosen) -> str:
    rows = html_page.rows(comparison)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            comparison=comparison,
            names=names,
            chosen=chosen,
            rows=rows,
            headline_rows=[row for row in rows if row.metric.headline],
            other_rows=html_page.by_suite(rows),
            stratified=html_page.by_category(rows),
            plots=html_page.plots(comparison, rows),
            settings=html_page.settings(comparison),
            commands=html_page.commands(comparison),
            title=html_page.headline(comparison),
            span=mark_span(comparison.max_drop),
            style=_own("style.css"),
            script=_own("script.js"),
            policy=_policy(),
            version=__version__,
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("coalm_lite.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "points": numbers.points,
        "signed": numbers.signed,
        "probability": numbers.probability,
        "size": numbers.size,
        "divergence": numbers.divergence,
        "brief": lambda text: shortened(text, _MOST_A_LABEL),
        "short": lambda text: shortened(text, _MOST_A_TEXT),
    }
    environment.globals |= {"share": numbers.share, "sentence": html_page.sentence}
    return environment


@cache
def _own(name: str) -> Markup:
    """The style or the script, which are ours and stand in the page as they are."""
    source, _, _ = _environment().loader.get_source(_environment(), name)  # type: ignore[union-attr]
    return Markup(source.replace("\r\n", "\n"))


@cache
def _policy() -> str:
    """What the browser may do for this page: apply our style and run our script, nothing else."""
    style, script = (b64encode(sha256(_own(name).encode()).digest()).decode() for name in ("style.css", "script.js"))
    own = f"style-src 'sha256-{style}'; script-src 'sha256-{script}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))
