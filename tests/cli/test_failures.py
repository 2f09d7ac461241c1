from __future__ import annotations

import subprocess
import sys
from typing import NoReturn

import click
import pytest

from coalm_lite.cli.failures import DEBUG_VARIABLE, exit_code_of
from coalm_lite.cli.invocation import Invocation
from coalm_lite.errors import ContextFullError, ModelError, UsageError


def failing(error: BaseException) -> int:
    def work() -> NoReturn:
        raise error

    return exit_code_of(work, Invocation())


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ModelError("no model m", "Check it."), 1, "error: no model m\nhint: Check it.\n"),
        (UsageError("a wrong name"), 2, "error: a wrong name\n"),
        (ContextFullError("full", "Shorten."), 1, "error: full\nhint: Shorten.\n"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.UsageError("two words"), 2, "Error: two words\n"),
    ],
)
def test_each_kind_of_error_has_its_code_and_words(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == code
    assert capsys.readouterr() == ("", told)


def test_an_unexpected_error_is_one_line_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(ZeroDivisionError("by zero")) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: unexpected ZeroDivisionError: by zero; this is a fault of coalm-lite\n")
    assert f"{DEBUG_VARIABLE}=1" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("verbosity", [0, 2])
def test_a_traceback_comes_with_the_variable_or_with_vv(
    verbosity: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not verbosity:
        monkeypatch.setenv(DEBUG_VARIABLE, "1")

    def work() -> NoReturn:
        raise ModelError("no model m")

    assert exit_code_of(work, Invocation(verbosity=verbosity)) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.endswith("error: no model m\n")


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1), ("text", 0)])
def test_what_the_work_returns_is_its_code_when_it_is_one(result: object, code: int) -> None:
    assert exit_code_of(lambda: result, Invocation()) == code


def test_a_closed_pipe_ends_quietly() -> None:
    program = (
        "from coalm_lite.cli.failures import exit_code_of\n"
        "from coalm_lite.cli.invocation import Invocation\n"
        "import sys\n"
        "sys.exit(exit_code_of(lambda: [print('line ' * 20) for _ in range(20000)], Invocation()))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("line")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 1


def test_a_character_that_the_terminal_lacks_is_written_as_an_escape() -> None:
    program = (
        "from coalm_lite.cli.failures import exit_code_of\n"
        "from coalm_lite.cli.invocation import Invocation\n"
        "exit_code_of(lambda: print('caf\\u00e9 \\u4eac'), Invocation())"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == b"caf\\xe9 \\u4eac"
