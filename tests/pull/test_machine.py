from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from coalm_lite.pull.machine import Machine, free_disk_bytes, granted_by_groups, this_machine

GIB = 1 << 30


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_this_machine_has_no_more_than_the_system_says() -> None:
    machine = this_machine()
    assert 0 < machine.available_bytes <= machine.total_bytes <= psutil.virtual_memory().total


def test_the_limits_of_a_version_2_group_and_of_those_above_it_are_found(tmp_path: Path) -> None:
    group(tmp_path, memory__max="max", memory__current="5")
    group(tmp_path / "a", memory__max=str(4 * GIB), memory__current=str(3 * GIB), memory__stat=f"inactive_file {GIB}")
    group(tmp_path / "a/b", memory__max=str(2 * GIB), memory__current=str(GIB // 2))
    found = list(granted_by_groups(tmp_path, "0::/a/b\n"))
    assert found == [Machine(2 * GIB, 2 * GIB - GIB // 2), Machine(4 * GIB, 2 * GIB)]


def test_the_limit_of_a_version_1_group_is_found_among_other_controllers(tmp_path: Path) -> None:
    names = {"memory__limit_in_bytes": str(GIB), "memory__usage_in_bytes": str(2 * GIB)}
    group(tmp_path / "memory/docker/x", **names, memory__stat=f"cache 1\ntotal_inactive_file {GIB // 2}")
    found = list(granted_by_groups(tmp_path, "5:cpu,cpuacct:/y\n4:memory:/docker/x\n0::/\n"))
    assert found == [Machine(GIB, 0)]


def test_a_container_that_sees_its_group_as_the_root_is_limited(tmp_path: Path) -> None:
    group(tmp_path, memory__max=str(GIB), memory__current="0")
    assert list(granted_by_groups(tmp_path, "0::/docker/0123abc\n")) == [Machine(GIB, GIB)]


@pytest.mark.parametrize("groups", ["", "nonsense", "0::", "::", "4:memory:/not/there"])
def test_without_groups_nothing_is_limited(tmp_path: Path, groups: str) -> None:
    assert list(granted_by_groups(tmp_path, groups)) == []


def test_the_room_of_a_folder_that_is_not_there_is_that_of_its_disk(tmp_path: Path) -> None:
    free = free_disk_bytes(tmp_path / "not" / "there")
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
