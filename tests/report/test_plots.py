"""The plots say their numbers in text, keep labels apart, and stand what is not a number."""

from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.report.numbers import UNKNOWN
from coalm_lite.report.plots import LikenessRow, ScorePoint, interval_mark, likeness_by_model, score_by_size
from coalm_lite.report.scales import Scale, linear, logarithmic
from coalm_lite.report.svg import Box, clear_of, element

BASE = ScorePoint("F16", 16_000_000_000, 71.3, 71.3, 71.3, "holds")
SHOWN = (
    ScorePoint("Q8_0", 8_500_000_000, 71.2, 70.7, 71.7, "holds"),
    ScorePoint("Q4 & <K>", 4_900_000_000, 70.1, 68.2, 72.0, "undecided"),
    ScorePoint("Q2_K", 3_200_000_000, 60.0, 57.0, 63.0, "regressed"),
)


def parsed(svg: str) -> ElementTree.Element:
    """An SVG as a browser would read it."""
    return ElementTree.fromstring(svg)


def words(root: ElementTree.Element, name: str) -> list[str]:
    return ["".join(found.itertext()) for found in root.iter(name)]


def test_a_score_plot_has_title_description_and_a_label_a_model() -> None:
    root = parsed(score_by_size("p", "Non-live AST", BASE, 69.3, SHOWN))
    assert words(root, "title") == ["Non-live AST by size of the model"]
    for part in ("F16 scores 71.3", "down to 69.3 holds", "Q2_K, 3.2 GB: 60.0, regressed"):
        assert part in words(root, "desc")[0]
    assert {"F16", "Q8_0", "Q4 & <K>", "Q2_K"} <= set(words(root, "text"))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "p-title p-text"


def test_each_verdict_has_a_shape_of_its_own() -> None:
    root = parsed(score_by_size("p", "T", BASE, 69.3, SHOWN))
    shapes = {found.get("class"): found.tag for found in root.iter()}
    assert shapes["dot holds"] == "circle"
    assert shapes["open undecided"] == "rect"
    assert shapes["cross regressed"] == "path"


def test_bigger_is_right_and_better_is_above() -> None:
    root = parsed(score_by_size("p", "T", BASE, 69.3, [SHOWN[0], ScorePoint("b", 10**10, 71.3, 71, 72, "holds")]))
    one, two = (found for found in root.iter("circle") if found.get("class") == "dot holds")
    assert float(one.get("cx", "")) < float(two.get("cx", ""))
    assert float(one.get("cy", "")) > float(two.get("cy", ""))


def test_a_base_without_a_size_is_a_line_alone() -> None:
    base = ScorePoint("server", 0, 71.3, 71.3, 71.3, "holds")
    root = parsed(score_by_size("p", "T", base, 69.3, SHOWN))
    assert not [found for found in root.iter("circle") if found.get("class") == "base"]
    assert "server" in words(root, "text")


def test_a_likeness_plot_shows_what_was_not_measured_as_text_only() -> None:
    rows = (
        LikenessRow("Q8_0", 0.001, 0.0009, 0.0012, "0.001"),
        LikenessRow("Q2_K", 0.3, None, None, "0.3"),
        LikenessRow("int4", None, None, None, UNKNOWN),
    )
    root = parsed(likeness_by_model("kl", "KL", "nats", rows))
    assert len(list(root.iter("circle"))) == 2
    assert len([found for found in root.iter("path") if found.get("class") == "whisker"]) == 1
    assert "nats (logarithmic)" in words(root, "text")


def test_likeness_of_equal_models_is_drawn_from_nought() -> None:
    root = parsed(likeness_by_model("kl", "KL", "nats", (LikenessRow("same", 0.0, 0.0, 0.0, "0"),)))
    assert "nats" in words(root, "text")
    assert float(next(root.iter("circle")).get("cx", "")) == Scale(0, 1, 100, 200).at(0)


def test_an_interval_beyond_the_mark_goes_on_as_an_arrow() -> None:
    within = parsed(interval_mark(-1.0, -2.0, 0.5, 2.0, "undecided"))
    beyond = parsed(interval_mark(-30.0, -40.0, -20.0, 2.0, "regressed"))
    assert not [found for found in within.iter("path") if "arrow" in found.get("class", "")]
    assert [found for found in beyond.iter("path") if "arrow" in found.get("class", "")]
    assert not list(beyond.iter("circle"))
    assert within.get("aria-hidden") == "true"


def test_a_mark_of_no_numbers_is_none() -> None:
    assert interval_mark(math.nan, 0.0, 0.0, 2.0, "undecided") == ""


def test_attributes_and_texts_are_escaped_and_made_visible() -> None:
    assert element("text", "<b>\0", class_='"&') == '<text class="&#34;&amp;">&lt;b&gt;⟨U+0000⟩</text>'


def test_labels_of_near_marks_do_not_cover_each_other() -> None:
    within, taken = Box(0, 0, 360, 250), [Box(170 + index, 120, 10, 20) for index in range(4)]
    marks = list(taken)
    placed = []
    for mark in marks:
        place = clear_of("Q4_K_M", mark, taken, within)
        taken.append(place)
        placed.append(place)
    assert all(one.overlap(two) == 0 for one, two in itertools.combinations(placed, 2))


values = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4))


@given(st.lists(values, min_size=1, max_size=6))
def test_a_linear_scale_keeps_order_and_has_ticks_within(given_values: list[float]) -> None:
    scale = linear(given_values, 40, 300)
    places = [scale.at(value) for value in sorted(given_values)]
    assert places == sorted(places)
    assert all(40 <= place <= 300 for place in places)
    assert 1 <= len(scale.ticks) <= 8
    assert all(scale.low - 1e-6 <= tick <= scale.high + 1e-6 for tick in scale.ticks)


@given(st.lists(st.floats(1e-9, 1e13), min_size=1, max_size=6))
def test_a_logarithmic_scale_keeps_order_and_has_ticks_within(given_values: list[float]) -> None:
    scale = logarithmic(given_values, 40, 300)
    places = [scale.at(value) for value in sorted(given_values)]
    assert places == sorted(places)
    assert scale.ticks
    assert all(scale.low * 0.999 <= tick <= scale.high * 1.001 for tick in scale.ticks)
