"""A module of coalm_lite in a process of its own: it runs as main, with its arguments and this process's paths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coalm_lite.runtime.child_command import CHILD_MARK, child_command


def test_the_child_finds_the_modules_that_this_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys\nif __name__ == '__main__':\n    print(sys.argv[1:], sys.path[0])\n"
    (tmp_path / "a_module_of_mine.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    command = child_command("a_module_of_mine", "one", "two words")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path.parent)
    assert done.stdout == f"['one', 'two words'] {tmp_path}\n"


def test_in_a_frozen_app_the_command_is_the_app_with_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert child_command("coalm_lite.app.worker", "1") == [sys.executable, CHILD_MARK, "coalm_lite.app.worker", "1"]
