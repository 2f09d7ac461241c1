"""`coalm-lite report`: exit codes, what it writes and prints, and bad input that gets an error and no verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from coalm_lite.evals.run import Run
from coalm_lite.store.provenance import KEY, Provenance, reserve
from tests.cli.conftest import CommandLine
from tests.report.runs import run, with_suite, write
from tests.runtime.gguf_bytes import model_file


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    runs = {"base": run(), "holds": run("Q8_0"), "open": run("Q4_K_M", 6, 4), "worse": run("Q2_K", 60, 5)}
    return {name: str(write(tmp_path / f"{name}.jsonl", values)) for name, values in runs.items()}


@pytest.mark.parametrize(
    ("others", "options", "code"),
    [
        (["holds"], [], 0),
        (["open"], [], 4),
        (["open"], ["--undecided", "ok"], 0),
        (["worse"], [], 3),
        (["worse", "open"], ["--undecided", "ok"], 3),
        (["holds", "open"], [], 4),
        (["worse"], ["--max-drop", "40"], 0),
    ],
)
def test_the_exit_code_is_the_verdict(
    files: dict[str, str], others: list[str], options: list[str], code: int, command_line: CommandLine
) -> None:
    outcome = command_line("report", files["base"], *(files[name] for name in others), *options)
    assert outcome.code == code, outcome.err
    verdict = {0: "holds", 3: "regressed", 4: "undecided"}[code]
    assert outcome.out.startswith(verdict if not options or code else "")


def test_it_prints_the_headline_figures_and_with_v_all(files: dict[str, str], command_line: CommandLine) -> None:
    short = command_line("report", files["base"], files["open"])
    assert "passed" in short.out
    assert "items more" in short.out
    assert "slot F1" not in short.out
    assert "slot F1" in command_line("report", files["base"], files["open"], "-v").out


def test_it_writes_all_forms(files: dict[str, str], tmp_path: Path, command_line: CommandLine) -> None:
    html, md, data = (tmp_path / "out" / name for name in ("r.html", "r.md", "r.json"))
    outcome = command_line(
        "report", files["base"], files["worse"], "--html", str(html), "--md", str(md), "--json", str(data)
    )
    assert outcome.code == 3
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "regressed" in md.read_text(encoding="utf-8")
    assert json.loads(data.read_text(encoding="utf-8"))["verdict"] == "regressed"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["r.html", "r.json", "r.md"]


def test_json_alone_is_printed_and_nothing_else(files: dict[str, str], command_line: CommandLine) -> None:
    outcome = command_line("report", files["base"], files["holds"], "--json")
    assert json.loads(outcome.out)["verdict"] == "holds"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "{base}", "{worse}", "{open}"], "looks like a run file"),
        (["{base}", "{worse}", "--html", "{worse}"], "looks like a run file"),
        (["{base}", "{worse}", "--html", "a", "--md", "a"], "the same name"),
        (["{base}", "{worse}", "--md", "-", "--json"], "the same name"),
        (["{base}", "{worse}", "--html", "-"], "needs a file's name"),
        (["{base}", "{worse}", "--max-drop", "0"], "0 points cannot be allowed"),
        (["{base}"], "Missing argument"),
    ],
)
def test_wrong_usage_writes_nothing(
    files: dict[str, str], arguments: list[str], words: str, command_line: CommandLine
) -> None:
    before = {name: Path(path).read_bytes() for name, path in files.items()}
    outcome = command_line("report", *(argument.format(**files) for argument in arguments))
    assert outcome.code == 2
    assert words in outcome.err
    assert {name: Path(path).read_bytes() for name, path in files.items()} == before


def damaged(path: Path, kind: str) -> None:
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    match kind:
        case "cut":
            path.write_bytes(data[:-9])
        case "short":
            path.write_bytes(b"".join(lines[:-1]))
        case "format":
            path.write_bytes(data.replace(b'"format_version":1', b'"format_version":9', 1))
        case "garbage":
            path.write_bytes(b"GGUF\x00\x01")
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", "line 301: the line is cut off"),
        ("short", "has 299 of the 300 items"),
        ("format", "is of format 9, and this version reads format 1"),
        ("garbage", "line 1"),
        ("empty", "is empty"),
        ("gone", "cannot be read"),
    ],
)
@pytest.mark.parametrize("which", ["base", "worse"])
def test_a_damaged_run_file_gets_an_error_and_no_verdict(
    files: dict[str, str], which: str, kind: str, words: str, tmp_path: Path, command_line: CommandLine
) -> None:
    damaged(Path(files[which]), kind)
    target = tmp_path / "r.html"
    outcome = command_line("report", files["base"], files["worse"], "--html", str(target))
    assert (outcome.code, outcome.out) == (1, "")
    assert words in outcome.err
    assert f"{which}.jsonl" in outcome.err
    assert "hint:" in outcome.err
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items_sha256": "d" * 64}, "its items of smoke are others than the base's"),
        ({"template_sha256": "d" * 64}, "its template"),
        ({"dialect": "cra"}, "its dialect of smoke is cra"),
    ],
)
def test_a_run_of_another_kind_gets_an_error_and_no_verdict(
    files: dict[str, str], change: dict[str, object], words: str, tmp_path: Path, command_line: CommandLine
) -> None:
    other = write(tmp_path / "other.jsonl", with_suite(run("Q2_K"), **change))
    outcome = command_line("report", files["base"], str(other))
    assert (outcome.code, outcome.out) == (1, "")
    assert words in outcome.err
    assert "other.jsonl" in outcome.err


def measured(path: Path, quant: str, tmp_path: Path) -> str:
    """A run file of the model at `path`."""
    values = run(quant, 3)
    model = replace(values.header.model, sha256=sha256(path.read_bytes()).hexdigest())
    return str(write(tmp_path / f"{quant}.jsonl", Run(replace(values.header, model=model), values.items)))


def test_scores_are_kept_with_the_model_and_shown(
    files: dict[str, str], tmp_path: Path, command_line: CommandLine
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(model_file({KEY: reserve(Provenance(source="owner/repo"))}))
    other = measured(model, "Q4_0", tmp_path)
    outcome = command_line("report", files["base"], files["holds"], other, "--write-scores", str(model))
    assert "scores, into" in outcome.out
    shown = command_line("show", str(model)).out
    assert "score smoke.passed" in shown
    assert ", F16 " in shown
    assert outcome.code == {"holds": 0, "undecided": 4}[shown.partition(", F16 ")[2].split()[1]]


def test_scores_of_another_model_are_not_written(
    files: dict[str, str], tmp_path: Path, command_line: CommandLine
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(model_file({KEY: reserve(Provenance())}))
    before = model.read_bytes()
    outcome = command_line("report", files["base"], files["holds"], "--write-scores", str(model), "--html", "r.html")
    assert outcome.code == 2
    assert "none of the runs is of" in outcome.err
    assert model.read_bytes() == before
    assert command_line("report", files["base"], files["holds"], "-o", "x").code == 2
