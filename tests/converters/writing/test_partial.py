"""OUT.partial: gone on with after a kill or a full disk, never wrongly, and by one process at a time."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.writing import partial as module
from coalm_lite.converters.writing import pipeline
from coalm_lite.converters.writing.partial import Plan, partial_file
from coalm_lite.errors import StoreError
from coalm_lite.store.locks import held
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint

PARTS = [bytes([number]) * (10 + 7 * number) for number in range(6)]
ROOT = Path(__file__).parents[3]
CONVERT = """
import sys
from pathlib import Path
from coalm_lite.converters.gguf import Quant, convert
convert(Path(sys.argv[1]), Path(sys.argv[2]), Quant.Q4_K_M, measured=True)
"""


class KilledError(BaseException):
    """Stands for the end of the process: nothing is tidied up after it."""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    size = 32 + sum(-(-len(part) // 32) * 32 for part in PARTS)
    return Plan(tmp_path / "out.bin", {"quant": "q4"}, b"head", size, 32)


def whole() -> bytes:
    return b"".join(part + bytes(-len(part) % 32) for part in [b"head", *PARTS])


def names(plan: Plan) -> list[str]:
    """What lies in the folder."""
    return sorted(path.name for path in plan.target.parent.iterdir())


def make(plan: Plan, stop_after: int | None = None, stop: Callable[[], None] = lambda: None) -> int:
    """Makes the file, or stops after some parts and half of the next; returns how many parts were there."""
    with partial_file(plan) as file:
        resumed = len(file.notes)
        assert file.notes == [{"part": number} for number in range(resumed)]
        for number, part in enumerate(PARTS[resumed:], resumed):
            if number == stop_after:
                file.write(part[: len(part) // 2])
                file._file.flush()
                stop()
            file.write(part)
            file.end_part({"part": number})
    return resumed


def kill(plan: Plan, stop_after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves what a killed process leaves."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "_remove", lambda plan: None)

        def end() -> None:
            raise KilledError

        with pytest.raises(KilledError):
            make(plan, stop_after, end)
    assert not plan.target.exists()


def test_a_file_appears_whole_and_alone(plan: Plan) -> None:
    assert make(plan) == 0
    assert plan.target.read_bytes() == whole()
    assert len(whole()) == plan.size_bytes
    assert names(plan) == ["out.bin"]


@pytest.mark.parametrize("stop_after", range(len(PARTS)))
def test_a_killed_run_is_gone_on_with_at_the_part_it_stopped_at(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    kill(plan, stop_after, monkeypatch)
    assert make(plan) == stop_after
    assert plan.target.read_bytes() == whole()
    assert names(plan) == ["out.bin"]


def test_two_kills_are_survived(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(plan, 2, monkeypatch)
    kill(plan, 4, monkeypatch)
    assert make(plan) == 4
    assert plan.target.read_bytes() == whole()


@pytest.mark.parametrize(
    "other", [{"settings": {"quant": "q5"}}, {"head": b"Head"}, {"head": b"another, longer head for all of the parts"}]
)
def test_other_settings_or_another_head_start_anew(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, other: dict[str, object]
) -> None:
    kill(plan, 4, monkeypatch)
    changed = replace(plan, **other)  # type: ignore[arg-type]  # one of the fields
    assert make(changed) == 0
    assert plan.target.read_bytes().endswith(whole()[32:])


def break_data(plan: Plan) -> None:
    data = bytearray(plan.partial.read_bytes())
    data[32 + 32 + 1] ^= 1  # in the second part
    plan.partial.write_bytes(data)


def cut_data(plan: Plan) -> None:
    os.truncate(plan.partial, 32 + 32 + 5)


def cut_journal(plan: Plan) -> None:
    lines = plan.journal.read_bytes().split(b"\n")
    plan.journal.write_bytes(b"\n".join(lines[:3])[:-4])


def break_journal(plan: Plan) -> None:
    lines = plan.journal.read_bytes().split(b"\n")
    plan.journal.write_bytes(b"\n".join([*lines[:2], b'{"size": "x"}', *lines[3:]]))


@pytest.mark.parametrize("damage", [break_data, cut_data, cut_journal, break_journal])
def test_only_what_is_as_it_was_written_is_kept(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Plan], None]
) -> None:
    kill(plan, 4, monkeypatch)
    damage(plan)
    assert make(plan) == 1
    assert plan.target.read_bytes() == whole()


@pytest.mark.parametrize("name", ["journal", "partial"])
def test_one_of_the_two_files_alone_is_nothing_to_go_on_with(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kill(plan, 4, monkeypatch)
    getattr(plan, name).unlink()
    assert make(plan) == 0
    assert plan.target.read_bytes() == whole()


def test_an_error_leaves_nothing_and_a_full_disk_what_was_made(plan: Plan) -> None:
    def fail(error: BaseException) -> Callable[[], None]:
        def stop() -> None:
            raise error

        return stop

    for error in (KeyboardInterrupt(), ValueError("bad"), OSError(errno.EIO, "no")):
        with pytest.raises((KeyboardInterrupt, ValueError, StoreError)):
            make(plan, 3, fail(error))
        assert names(plan) == []
    with pytest.raises(StoreError, match=r"out\.bin\.partial: cannot be read or written: No space left") as caught:
        make(plan, 3, fail(OSError(errno.ENOSPC, "No space left on device")))
    assert "room" in caught.value.hint
    assert names(plan) == ["out.bin.partial", "out.bin.partial.journal"]
    assert make(plan) == 3
    assert plan.target.read_bytes() == whole()


def test_too_small_a_disk_is_told_before_anything_is_written(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    kill(plan, 3, monkeypatch)
    there = plan.partial.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, plan.size_bytes - there - 1))
    with pytest.raises(StoreError, match=rf"needs {plan.size_bytes - there:,} bytes of disk, and .* are free"):
        make(plan)
    assert plan.partial.stat().st_size == there
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, plan.size_bytes - there))
    assert make(plan) == 3


def test_one_process_at_a_time_makes_a_file(plan: Plan) -> None:
    with held(plan.lock), pytest.raises(StoreError, match=r"out\.bin is being made by another process"):
        make(plan)
    assert make(plan) == 0


def test_a_conversion_killed_at_any_tensor_ends_with_the_same_bytes(tmp_path: Path) -> None:
    sizes = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 3, "head_dim": 128}
    source = write_checkpoint(tmp_path / "model", Recipe(config=sizes))
    whole = convert(source, tmp_path / "whole.gguf", Quant.Q4_K_M, measured=True)
    target = tmp_path / "out.gguf"
    journal = tmp_path / "out.gguf.partial.journal"
    for tensors in (1, 9, 20):
        kill_after(tensors, source, target, journal)
        assert not target.exists()
    report = convert(source, target, Quant.Q4_K_M, measured=True)
    assert report.resumed >= 20
    assert target.read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    assert (report.errors, report.data_sha256) == (whole.errors, whole.data_sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.gguf", "whole.gguf"]


def kill_after(tensors: int, source: Path, target: Path, journal: Path) -> None:
    """Starts a conversion and kills it when that many tensors are complete."""
    command = [sys.executable, "-c", CONVERT, str(source), str(target)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while not journal.is_file() or journal.read_bytes().count(b"\n") <= tensors:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)


def test_another_kind_or_a_changed_source_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_checkpoint(tmp_path / "model", Recipe())
    leave_partial(source, tmp_path / "out.gguf", monkeypatch)
    lines = (tmp_path / "out.gguf.partial.journal").read_text().splitlines()
    assert json.loads(lines[0])["quant"] == "q8_0"
    assert convert(source, tmp_path / "out.gguf", Quant.Q4_0).resumed == 0
    leave_partial(source, tmp_path / "out.gguf", monkeypatch)
    os.utime(source / "model.safetensors", ns=(0, 0))
    assert convert(source, tmp_path / "out.gguf", Quant.Q8_0).resumed == 0
    leave_partial(source, tmp_path / "out.gguf", monkeypatch)
    assert convert(source, tmp_path / "out.gguf", Quant.Q8_0).resumed == 5


def leave_partial(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves what a killed conversion leaves after five tensors."""
    calls = 0

    def end(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise KilledError
        return quantize_rows(*given)  # type: ignore[arg-type]

    quantize_rows = pipeline.quantize_rows
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "quantize_rows", end)
        patch.setattr(module, "_remove", lambda plan: None)
        with pytest.raises(KilledError):
            convert(source, target, Quant.Q8_0, threads=1)
