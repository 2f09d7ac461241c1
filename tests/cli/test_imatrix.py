from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coalm_lite.converters.calibration.imatrix_file import read_imatrix
from tests.cli.conftest import CommandLine

FAST = ("--threads", "1", "--context", "64", "--chunks", "2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def text(folder: Path) -> Path:
    path = folder / "talk.txt"
    path.write_text("A cheap hotel in the north, please. " * 40)
    return path


def test_the_embedded_model_is_measured_on_conversations_made_here(command_line: CommandLine, folder: Path) -> None:
    ran = command_line("imatrix", "nano", *FAST)
    assert ran.code == 0, ran.err
    made = read_imatrix(folder / "coalm-nano.Q8_0.imatrix.gguf")
    assert made.chunks == 2
    assert made.datasets[0] in ran.out
    assert ran.out.startswith("coalm-nano.Q8_0.imatrix.gguf holds the importance of 42 matrices, measured on 2 chunks")
    assert "measuring 1 of 2 chunks" in ran.err
    assert "measuring 2 of 2 chunks" in ran.err


def test_a_text_of_the_users_is_measured_into_the_named_file(
    command_line: CommandLine, tiny_model: Path, text: Path, folder: Path
) -> None:
    ran = command_line("imatrix", str(tiny_model), "--data", str(text), "-o", "mine.gguf", "--json", "-q", *FAST)
    assert (ran.code, ran.err) == (0, "")
    told, made = json.loads(ran.out), read_imatrix(folder / "mine.gguf")
    assert (told["target"], told["sha256"], told["chunks"]) == ("mine.gguf", made.sha256, 2)
    assert told["dataset"].startswith("talk.txt, sha256 ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["imatrix", "missing.gguf"], 1, "there is no model file missing.gguf"),
        (["imatrix", "nano", "--data", "missing.txt"], 2, "missing.txt: No such file"),
        (["imatrix", "nano", "-o", "."], 2, "is a folder"),
        (["imatrix", "nano", "-o", "nowhere/imatrix.gguf"], 2, "there is no folder nowhere"),
        (["imatrix", "nano", "--context", "4096"], 2, "context is 4096, outside 1 to 2048"),
        (["imatrix", "nano", "--chunks", "0"], 2, "'--chunks'"),
    ],
)
def test_a_wrong_wish_is_told_and_leaves_no_file(
    command_line: CommandLine, folder: Path, arguments: list[str], code: int, words: str
) -> None:
    ran = command_line(*arguments)
    assert ran.code == code
    assert words in ran.err
    assert list(folder.iterdir()) == []


def test_ctrl_c_ends_it_with_130_and_leaves_no_file(folder: Path) -> None:
    command = [sys.executable, "-m", "coalm_lite.cli", "imatrix", "nano", "--threads", "1", "--context", "2048"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=folder)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"measuring 1 of")
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 130
    assert b"Traceback" not in rest
    assert b"ignored" not in rest
    assert list(folder.iterdir()) == []


def test_a_terminal_sees_a_bar(folder: Path) -> None:
    main, other = pty.openpty()
    command = [sys.executable, "-m", "coalm_lite.cli", "imatrix", "nano", *FAST]
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=other, cwd=folder, env=environment)
    os.close(other)
    seen, ends = b"", time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            part = os.read(main, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(main)
    assert process.wait(20) == 0
    assert b"2 of 2 chunks" in seen
