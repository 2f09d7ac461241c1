"""Run files: what is written is read back, what is damaged is told by line, and a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.errors import EvalError
from coalm_lite.evals.items import PASS, Metric, Share, Unit
from coalm_lite.evals.run import Agreement, Choice, ItemResult, ModelStory, Run, RunHeader, Step, SuiteStory
from coalm_lite.evals.running.run_file import RunAppender, header_line, item_line, read_run

METRIC = Metric("accuracy", "Accuracy", weights={"a": 0.5, "b": 0.5}, headline=True)
SUITE = SuiteStory("tiny", "hammer", 3, 3, "items", "template", (METRIC,))
HEADER = RunHeader(ModelStory("nano", "gguf", "Q8_0", 7, "abc", vocabulary_sha256="v"), (SUITE,), top_logprobs=2)
STEP = Step(
    "0123456789abcdef",
    12,
    "é\n\u2028",
    "stop",
    (1, 2),
    (2, 3),
    (Choice(0, (1, 7), (-0.1, -2.5)), Choice(2, (9, 1), (-0.0001, -9.25))),
    Agreement(1, 2, 0.25, 2),
)


def item(number: int) -> ItemResult:
    unit = Unit(f"u{number}", "a", {"accuracy": PASS, "slots": Share(3, 4)})
    return ItemResult("tiny", f"i{number}", "a", "c", (unit,), (STEP, replace(STEP, end="error", error="no room")))


def write(path: Path, *numbers: int, header: RunHeader = HEADER) -> bytes:
    data = header_line(header) + b"".join(item_line(item(number)) for number in numbers)
    path.write_bytes(data)
    return data


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with RunAppender(path, HEADER) as file:
        for number in range(3):
            file.append(item(number))
    assert read_run(path) == Run(HEADER, (item(0), item(1), item(2)))
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-5], "line 4: the line is cut off"),
        (lambda data: data[: data.rindex(b"\n", 0, -1) + 1], "has 2 of the 3 items of tiny"),
        (lambda data: data.replace(b'"id":"i1"', b'"id":"i0"'), "line 3: the item 'i0' of tiny stands there twice"),
        (lambda data: data.replace(b'"suite":"tiny","id":"i2"', b'"suite":"huge","id":"i2"'), "line 4: the suite"),
        (lambda data: data.replace(b'"steps"', b'"x":1,"steps"', 1), "line 2: x: Unexpected keyword"),
        (lambda data: data.replace(b'"end":"stop"', b'"end":"tired"', 1), r"line 2: steps\.0\.end: Input should be"),
        (lambda data: data.replace(b'"ends":[2,3]', b'"ends":[2]', 1), "line 2: 2 tokens have 1 ends"),
        (lambda data: data.replace(b'"ids":[1,7]', b'"ids":[1]', 1), "line 2: a choice's ids"),
        (lambda data: data.replace(b'"format_version":1', b'"format_version":2'), "is of format 2"),
        (lambda data: b"{}\n" + data, "line 1: model: Field required"),
        (lambda data: data.replace(b"}\n{", b"}{", 1), "line 1: Invalid JSON"),
        (lambda data: b"", "is empty"),
        (lambda data: b"GGUF\x00\xff\n", "line 1: Invalid JSON"),
    ],
)
def test_a_damaged_run_is_refused_by_line(change: Callable[[bytes], bytes], words: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(change(write(path, 0, 1, 2)))
    with pytest.raises(EvalError, match=words):
        read_run(path)


def test_a_killed_run_is_read_for_going_on_without_its_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(write(path, 0, 1, 2)[:-9])
    assert read_run(path, allow_partial=True).items == (item(0), item(1))


def test_what_was_killed_anywhere_ends_equal_to_an_undisturbed_run(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = write(path, 0, 1, 2)
    for end in range(0, len(whole), 61):
        path.write_bytes(whole[:end])
        with RunAppender(path, HEADER) as file:
            for number in range(len(file.done), 3):
                file.append(item(number))
        assert path.read_bytes() == whole


def test_another_run_s_file_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    before = write(path, 0)
    other = replace(HEADER, suites=(replace(SUITE, dialect="cra"),))
    with pytest.raises(EvalError, match=r"its suites\[0\]\.dialect is 'hammer', and now it is 'cra'"):
        RunAppender(path, other)
    assert path.read_bytes() == before


def test_a_run_is_begun_anew_when_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path, 0, 1)
    with RunAppender(path, replace(HEADER, seed=5), anew=True) as file:
        assert file.done == ()
    assert path.read_bytes() == header_line(replace(HEADER, seed=5))


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match=r"none\.jsonl cannot be read"):
        read_run(tmp_path / "none.jsonl")
