"""SIGINT to a whole process. Its output fills the pipe, so that the answer cannot be over before the signal comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.endless_program import ANSWER

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
ROOT = Path(__file__).parents[2]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.cli.endless_program", *arguments, "--max-tokens", "1000000"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)


def test_an_interrupted_answer_in_json_is_done_and_the_next_request_is_answered() -> None:
    with started("chat", "m.gguf", "--json") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        ends = []
        for request in ("one", "two"):
            running.stdin.write(request + "\n")
            event = json.loads(running.stdout.readline())
            assert event == {"type": "text", "text": "a"}
            running.send_signal(signal.SIGINT)
            while event["type"] == "text":
                event = json.loads(running.stdout.readline())
            ends.append((event["type"], event["reason"]))
        running.stdin.close()
        assert ends == [("done", "cancelled")] * 2
        assert running.wait(60) == 0


def test_an_interrupted_run_is_exit_code_130_with_what_was_written_and_no_traceback() -> None:
    with started("run", "m.gguf", "hello") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(6) == "a word"
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert rest.endswith("\n")
        assert len(rest) < len(ANSWER) - 100
        assert running.wait(60) == 130
        assert running.stderr.read() == "stopped\n"
