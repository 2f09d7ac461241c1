"""The program that the README shows for embedding, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "embedding.py"


def test_the_example_calls_its_function_and_answers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    call, answer = done.stdout.splitlines()
    assert call == "ToolCall(name='find_hotels', arguments={'area': 'north'})"
    assert answer.startswith("Alm Lodge is a hotel in the north with 4 stars")


def test_it_is_short() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip() and not line.startswith('"""')]
    assert len(lines) <= 13
