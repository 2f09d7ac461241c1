"""`coalm-lite eval` on the embedded model and the shipped suite: scores, resuming, bases, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coalm_lite.evals.running.run_file import read_run
from coalm_lite.store.locks import held
from tests.cli.conftest import CommandLine

QUICK = ("--items", "6", "--threads", "1")


@pytest.fixture
def base(command_line: CommandLine, tmp_path: Path) -> Path:
    """A short run."""
    path = tmp_path / "base.jsonl"
    done = command_line("eval", "nano", *QUICK, "-o", str(path), "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    return path


def test_scores_are_a_table_and_the_file_is_a_run(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    done = command_line("eval", "nano", *QUICK, "-o", str(path), "-v")
    assert done.code == 0, done.err
    run = read_run(path)
    passed = sum(unit.scores["passed"].part for item in run.items for unit in item.units)
    (line,) = [line for line in done.out.splitlines() if line.split()[:2] == ["smoke", "passed"]]
    assert line.endswith(f"{passed:g} of {len(run.items)}")
    assert run.header.model.quant == "Q8_0"
    assert len(run.header.model.sha256) == len(run.header.model.vocabulary_sha256) == 64
    assert "prompt tokens were shared" in done.err
    assert "prefill" in done.err


def test_a_suite_may_have_a_number_of_its_own(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    done = command_line("eval", "nano", "--suite", "smoke@6", "--top-logprobs", "0", "-o", str(path), "-q")
    assert done.code == 0, done.err
    (suite,) = read_run(path).header.suites
    assert (suite.name, suite.items_drawn, suite.items_in_all) == ("smoke", 6, 60)


def test_json_has_scores_and_speed(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("eval", "nano", *QUICK, "-o", str(tmp_path / "run.jsonl"), "--json", "-q")
    found = json.loads(done.out)
    assert {score["metric"] for score in found["scores"]} >= {"passed"}
    assert found["speed"]["items"] >= 6
    assert found["agreement"] is None


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(command_line: CommandLine, base: Path) -> None:
    whole = base.read_bytes()
    base.write_bytes(whole[: len(whole) * 2 // 3])
    done = command_line("eval", "nano", *QUICK, "-o", str(base))
    assert done.code == 0
    assert "going on behind the " in done.err
    assert base.read_bytes() == whole


def test_another_run_s_file_is_left_alone(command_line: CommandLine, base: Path) -> None:
    before = base.read_bytes()
    done = command_line("eval", "nano", *QUICK, "-o", str(base), "--no-grammar")
    assert done.code == 1
    assert "holds another run: its grammar is True, and now it is False" in done.err
    assert "--force" in done.err
    assert base.read_bytes() == before
    assert command_line("eval", "nano", *QUICK, "-o", str(base), "--no-grammar", "--force", "-q").code == 0
    assert not read_run(base).header.grammar


def test_the_same_model_agrees_with_its_base(command_line: CommandLine, base: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.jsonl"
    done = command_line("eval", "nano", *QUICK, "-o", str(again), "--base", str(base), "--parallel", "1", "--json")
    found = json.loads(done.out)["agreement"]
    assert found["agreed_tokens"] >= 0.9 * found["base_tokens"] > 0
    assert found["kl_places"] > 0
    assert 0 <= found["kl_sum"] / found["kl_places"] < 0.01
    assert read_run(again).header.base_sha256


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--items", "7"), "its item set of smoke is "),
        (("--items", "6", "--no-grammar"), "its use of a grammar is on, here off"),
        (("--items", "6", "--seed", "1"), "its item set of smoke is "),
    ],
)
def test_a_base_of_something_else_is_refused(
    options: tuple[str, ...], words: str, command_line: CommandLine, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    done = command_line("eval", "nano", "--threads", "1", *options, "-o", str(out), "--base", str(base))
    assert done.code == 1
    assert f"cannot be the base of this run: {words}" in done.err
    assert not out.exists()


def test_a_base_without_log_probabilities_or_cut_off_is_refused(command_line: CommandLine, tmp_path: Path) -> None:
    bare, out = tmp_path / "bare.jsonl", tmp_path / "out.jsonl"
    command_line("eval", "nano", *QUICK, "-o", str(bare), "-q", "--top-logprobs", "0")
    done = command_line("eval", "nano", *QUICK, "-o", str(out), "--base", str(bare))
    assert (done.code, "has no log-probabilities" in done.err) == (1, True)
    bare.write_bytes(bare.read_bytes()[:-9])
    done = command_line("eval", "nano", *QUICK, "-o", str(out), "--base", str(bare))
    assert (done.code, "the line is cut off" in done.err) == (1, True)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--suite", "smok"), 2, "Did you mean smoke?"),
        (("--suite", "smoke,smoke"), 2, "smoke is named twice"),
        (("--items", "6", "--detect", "3"), 2, "Give one of them"),
        (("--suite", "smoke@many"), 2, "'many' is no number of items"),
        (("--suite", "smoke@0"), 2, "'0' is no number of items"),
        (("--suite", "apibank", "--data-dir", "nowhere"), 1, "the data of apibank are not on this machine"),
        (("--dialect", "dst"), 2, "smoke cannot be asked in the dialect 'dst'"),
        (("--base", "nothing.jsonl"), 1, "nothing.jsonl cannot be read"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    options: tuple[str, ...], code: int, words: str, command_line: CommandLine, tmp_path: Path
) -> None:
    done = command_line("eval", "nano", *options, "-o", str(tmp_path / "run.jsonl"))
    assert done.code == code
    assert words in done.err
    assert not (tmp_path / "run.jsonl").exists()


def test_two_runs_do_not_write_one_file(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with held(tmp_path / "run.jsonl.lock") as alone:
        assert alone
        done = command_line("eval", "nano", *QUICK, "-o", str(path))
    assert (done.code, "another coalm-lite is writing" in done.err) == (1, True)
    assert not path.exists()
    assert command_line("eval", "nano", *QUICK, "-o", str(path), "-q").code == 0
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
def test_an_interrupted_run_is_exit_code_130_and_goes_on(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    options = ("eval", "nano", "--threads", "1", "--parallel", "1", "-o", str(path))
    command = [sys.executable, "-m", "coalm_lite.cli", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        while not path.exists() or path.read_bytes().count(b"\n") < 3:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in told
    assert "stopped: " in told
    assert "the same command goes on with it" in told
    found = read_run(path, allow_partial=True).items
    assert 2 <= len(found) < 60
    assert command_line(*options, "-q").code == 0
    assert read_run(path).items[: len(found)] == found
