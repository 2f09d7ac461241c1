from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from coalm_lite.errors import StoreError
from coalm_lite.store.locks import held


def test_a_free_lock_is_held_inside_and_its_file_is_gone_after(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.lock"
    with held(path) as free, held(path) as again:
        assert (free, again) == (True, False)
    assert not path.exists()
    with held(path) as free:
        assert free


def test_a_lock_of_another_process_is_not_taken_and_its_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    code = (
        "import sys; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with held(path) as free:
            assert not free
        assert path.exists()
        other.communicate("")
    with held(path) as free:
        assert free


def test_the_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with pytest.raises(ZeroDivisionError), held(path):
        raise ZeroDivisionError
    with FileLock(path, timeout=0):
        pass


def test_a_lock_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"), held(tmp_path / "file" / "x.lock"):
        pass
