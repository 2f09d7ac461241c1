"""How a process ended, in words; its last lines, bounded."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from coalm_lite.app.crashes import LastLines, crashed, ending_words
from coalm_lite.errors import EngineCrashed, SchemaError


@pytest.mark.parametrize("code", ["import os; os.abort()", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_real_ending_is_told_by_the_name_of_its_signal(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ending_words(done.returncode).split(":")[0] in ("was ended by SIGABRT", "was ended by SIGSEGV")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-9, "was ended by SIGKILL: somebody, or a system that ran out of memory, ended it"),
        (-15, "was ended by SIGTERM"),
        (70, "ended with exit status 70"),
        (-250, "ended with status 0xffffff06"),
        (0xC0000005, "ended with status 0xc0000005"),
    ],
)
def test_every_status_has_words(status: int, words: str) -> None:
    assert ending_words(status) == words


def test_a_kill_hints_at_memory() -> None:
    assert "a smaller quant" in crashed(ending_words(-9), -9, ()).hint
    assert "`log`" in crashed(ending_words(-6), -6, ("GGML_ASSERT",)).hint


def test_lines_are_kept_from_the_last_ones_back_and_cleaned() -> None:
    lines = LastLines()
    for number in range(1000):
        lines.take(f"line {number}\n".encode())
    lines.take(b"\x1b[31mred\x07 \xff and unfin")
    lines.take(b"ished")
    assert len(lines.all) == 101
    assert lines.all[-2:] == ("line 999", " [31mred  \N{REPLACEMENT CHARACTER} and unfinished")
    lines.take(b"x" * 10_000_000)
    lines.take(b"\n")
    assert len(lines.all[-1]) == 500


def test_errors_travel_between_processes_as_they_are() -> None:
    crash = EngineCrashed("it ended", "Start it.", "was ended", ("a", "b"))
    schema = SchemaError("find", "/a", "pattern", "is not held", "Leave it out.")
    for error in (crash, schema):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (str(copy), copy.__dict__) == (str(error), error.__dict__)
