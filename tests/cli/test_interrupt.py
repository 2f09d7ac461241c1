"""SIGINT to a whole process that runs the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
# Seeded random text that goes on: a tiny model draws an end token after a thousand or so.
ENDLESS = ["--dialect", "hammer", "--temperature", "1", "--seed", "3", "--max-tokens", "1500", "--threads", "1"]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "coalm_lite.cli", *arguments, *ENDLESS]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)


def test_an_interrupted_answer_in_json_is_done_and_the_next_request_is_answered(tiny_model: Path) -> None:
    with started("chat", str(tiny_model), "--json") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        reasons = []
        for request in ("one", "two"):
            running.stdin.write(request + "\n")
            event = json.loads(running.stdout.readline())
            assert event["type"] == "text"
            running.send_signal(signal.SIGINT)
            while event["type"] == "text":
                event = json.loads(running.stdout.readline())
            reasons.append((event["type"], event["reason"]))
        running.stdin.close()
        assert reasons == [("done", "cancelled")] * 2
        assert running.wait(60) == 0


def test_an_interrupted_run_is_exit_code_130_with_what_was_written_and_no_traceback(tiny_model: Path) -> None:
    with started("run", str(tiny_model), "hello") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(1)
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        assert running.wait(60) == 130
        assert running.stderr.read().strip() == "stopped"
