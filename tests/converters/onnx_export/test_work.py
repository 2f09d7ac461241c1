"""The folder of an ONNX conversion in the making: whole or not at all, whatever ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coalm_lite.converters.onnx_export.work import work_folder
from coalm_lite.errors import StoreError, UsageError

WAITS = """
import sys, time
from pathlib import Path
from coalm_lite.converters.onnx_export.work import work_folder
with work_folder(Path(sys.argv[1])) as work:
    (work / "half.bin").write_bytes(bytes(1000))
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "place" / "m"


@pytest.fixture(autouse=True)
def place(target: Path) -> Path:
    target.parent.mkdir()
    return target.parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_made_gets_its_name_at_the_end(target: Path, place: Path) -> None:
    with work_folder(target) as work:
        assert not target.exists()
        (work / "model.onnx").write_bytes(b"graph")
    assert names(place) == ["m"]
    assert names(target) == ["model.onnx"]


@pytest.mark.parametrize("ended_by", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_error_or_an_interrupt(
    target: Path, place: Path, ended_by: type[BaseException]
) -> None:
    with pytest.raises(ended_by), work_folder(target) as work:
        (work / "half.bin").write_bytes(b"half")
        raise ended_by
    assert names(place) == []


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_already_is_never_replaced(target: Path, place: Path, make: object) -> None:
    assert callable(make)
    make(target)
    with pytest.raises(UsageError, match="is there already"), work_folder(target):
        pytest.fail("the block must not run")
    assert names(place) == ["m"]


def test_a_target_that_appears_meanwhile_stays_as_it_is(target: Path, place: Path) -> None:
    with pytest.raises(UsageError, match="is there already"), work_folder(target) as work:
        (work / "model.onnx").touch()
        target.mkdir()
        (target / "theirs").touch()
    assert names(place) == ["m"]
    assert names(target) == ["theirs"]


def test_somebodys_own_folder_of_that_name_is_not_touched(target: Path, place: Path) -> None:
    (place / "m.partial").mkdir()
    (place / "m.partial" / "thesis.txt").touch()
    with pytest.raises(UsageError, match=r"m\.partial is in the way"), work_folder(target):
        pytest.fail("the block must not run")
    assert names(place / "m.partial") == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"m\.partial"), work_folder(tmp_path / "nowhere" / "m"):
        pytest.fail("the block must not run")


def test_a_killed_run_leaves_no_target_and_the_next_one_clears_up(target: Path, place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(StoreError, match="another conversion is writing"), work_folder(target):
            pytest.fail("the block must not run")
        process.kill()
    assert names(place) == ["m.partial"]
    with work_folder(target) as work:
        assert "half.bin" not in names(work)
    assert names(place) == ["m"]


@pytest.mark.skipif(os.name != "posix", reason="interrupts are signals")
def test_an_interrupted_run_leaves_nothing(target: Path, place: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS, str(target)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert names(place) == []
