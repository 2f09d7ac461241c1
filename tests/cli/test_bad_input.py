"""Everything a user can get wrong, on the real engine: a clear error, its exit code, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

SCHEMA = """\
from typing import Annotated

from pydantic import Field


def code(value: Annotated[int, Field(ge=3, le=2)]) -> int:
    return value
"""


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def check(command_line: CommandLine, code: int, words: list[str], *arguments: str) -> None:
    for command in (["run", *arguments[:1], "hi", *arguments[1:]], ["chat", *arguments]):
        outcome = command_line(*command, "--threads", "1", stdin="hi\n")
        assert outcome.code == code, outcome.err
        assert outcome.out == ""
        assert outcome.err.startswith("error: ")
        assert "hint: " in outcome.err
        assert "Traceback" not in outcome.err
        for word in words:
            assert word in outcome.err


def test_a_model_path_with_nothing_there(command_line: CommandLine, tmp_path: Path) -> None:
    path = str(tmp_path / "no.gguf")
    check(command_line, 1, [f"there is no model file {path}"], path)


def test_a_folder_for_a_model(command_line: CommandLine, tmp_path: Path) -> None:
    check(command_line, 1, [f"{tmp_path} is no ONNX model: there is no coalm.json in it"], str(tmp_path))


def test_a_text_file_named_gguf(command_line: CommandLine, tmp_path: Path) -> None:
    path = write(tmp_path / "notes.gguf", "Dear diary, this is no model.\n" * 20)
    check(command_line, 1, [path], path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_model_that_is_cut_short(command_line: CommandLine, tmp_path: Path, tiny_model: Path, share: float) -> None:
    data = tiny_model.read_bytes()
    path = write(tmp_path / "cut.gguf", data[: int(len(data) * share)])
    check(command_line, 1, [path], path)


def test_a_name_that_no_model_has(command_line: CommandLine) -> None:
    check(command_line, 2, ["there is no model called 'nanoo'", "nano"], "nanoo")


def test_a_model_that_is_not_on_this_machine(command_line: CommandLine) -> None:
    check(command_line, 1, ["CoALM-8B.Q4_K_M.gguf", "is not on this machine", "coalm-lite pull 8b-q4"], "8b-q4")


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("t.py", "def broken(:\n", 1, ["t.py, line 1: "]),
        ("t.py", "x = 1\n\nraise KeyError('oh')\n", 1, ["t.py, line 3: KeyError"]),
        ("t.py", "import no_such_module_here\n", 1, ["no_such_module_here"]),
        ("t.py", "x = 1\n", 1, ["has no tools"]),
        ("t.py", b"\x00\xff", 1, ["t.py"]),
        ("t.py", "def f(a) -> str:\n    return a\n", 1, ["'f'", "'a' has no type"]),
        ("t.py", SCHEMA, 2, ["'code'", "/properties/value", "maximum"]),
    ],
)
def test_a_tools_file_that_is_wrong(
    command_line: CommandLine, tmp_path: Path, tiny_model: Path, name: str, content: str, code: int, words: list[str]
) -> None:
    path = write(tmp_path / name, content)
    check(command_line, code, words, str(tiny_model), "--tools", path)


def test_a_tools_file_that_is_not_there(command_line: CommandLine, tiny_model: Path) -> None:
    check(command_line, 1, ["cannot read the tools file no.py"], str(tiny_model), "--tools", "no.py")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--context", "999999"], ["context is 999999", "2048"]),
        (["--top-p", "3"], ["top_p is 3.0"]),
        (["--tools", "none", "--tools", "demo"], ["--tools none"]),
        (["--database", "b.db"], ["--database"]),
    ],
)
def test_options_that_do_not_fit(
    command_line: CommandLine, tiny_model: Path, arguments: list[str], words: list[str]
) -> None:
    check(command_line, 2, words, str(tiny_model), *arguments)


def test_a_request_that_does_not_fit_into_the_context(command_line: CommandLine, tiny_model: Path) -> None:
    request, model = "long words " * 400, [str(tiny_model), "--threads", "1"]
    once = command_line("run", model[0], request, *model[1:])
    assert once.code == 1
    assert once.err.startswith("error: ")
    assert "tokens of context, and 2048 are available" in once.err
    lines = command_line("chat", *model, "--json", "--max-tokens", "4", stdin=f"{request}\nhi\n")
    assert lines.code == 0
    first, second, *_ = lines.events
    assert "2048 are available" in first["message"]
    assert first["hint"]
    assert "context" not in second.get("message", "")


def test_a_wrong_path_in_a_process_of_its_own_leaves_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coalm_lite.cli", "run", str(tmp_path / "no.gguf"), "hi"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"error: there is no model file {tmp_path / 'no.gguf'}\nhint: Check the path and its spelling.\n"
    )
