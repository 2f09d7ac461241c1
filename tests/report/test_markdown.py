"""The Markdown says the verdict first, and what models wrote cannot act in it; the JSON has every figure."""

from __future__ import annotations

import json
from dataclasses import replace

from coalm_lite.evals.run import Run
from coalm_lite.report import as_json, markdown
from coalm_lite.report.compare import compare
from tests.report.runs import differential, run

BASE = run()
COMPARISON = compare(BASE, [run("Q8_0"), run("Q4_K_M", 6, 4), differential(BASE, run("Q2_K", 60, 5))], 2.0)


def test_the_verdict_comes_first_and_names_each_model() -> None:
    first = markdown.render(COMPARISON).splitlines()[0]
    assert "regressed" in first
    assert first.index("Q2") < first.index("Q4") < first.index("Q8")


def test_each_headline_figure_is_a_row_and_the_others_are_folded() -> None:
    text = markdown.render(COMPARISON)
    table, _, folded = text.partition("<details>")
    assert table.count("| smoke | passed |") == 3
    assert "slot F1" not in table
    assert folded.count("| smoke | slot F1 |") == 3
    assert "items more" in table


def test_likeness_is_told() -> None:
    assert "80.0 % of the base's tokens agree; KL divergence 0.1 nats a token" in markdown.render(COMPARISON)


def hostile(text: str) -> str:
    """The Markdown of a comparison in which a model wrote this, and a note and a name have it too."""
    other = run("Q2_K", 1)
    items = [replace(item, steps=(replace(item.steps[0], text=text),), note=text) for item in other.items]
    header = replace(other.header, model=replace(other.header.model, quant=text))
    return markdown.render(compare(BASE, [Run(header, tuple(items))], 2.0))


def test_what_a_model_wrote_cannot_leave_its_fence() -> None:
    text = hostile("```\n# big\n````\n<script>alert(1)</script>")
    fences = [line for line in text.splitlines() if line.strip("`") == "" and len(line) > 4]
    assert fences
    assert len(fences) % 2 == 0
    outside = text.split(fences[0])[::2]
    assert not any("<script>" in part or "\n# big" in part for part in outside)


def test_names_and_notes_lose_what_markdown_would_read() -> None:
    text = hostile("a|b [x](http://y) <img src=z> *bold* \ud800")
    cells = next(line for line in text.splitlines() if line.startswith("| a"))
    assert cells.replace("\\|", "").count("|") == 10
    assert "&lt;img" in cells
    assert "\\[x\\]" in cells


def test_json_has_the_figures_and_both_sides_of_flips() -> None:
    values = json.loads(as_json.render(COMPARISON))
    assert (values["format"], values["verdict"], values["max_drop"]) == (1, "regressed", 2.0)
    last = values["runs"][-1]
    assert last["metrics"][0]["lost"] == 60
    assert last["likeness"]["tokens"] == 3000
    assert len(last["flips"]) == 65
    assert last["flips"][0]["base"]["texts"] != last["flips"][0]["other"]["texts"]
    assert values["base"]["header"]["model"]["quant"] == "F16"
