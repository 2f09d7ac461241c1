from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.errors import StoreError
from coalm_lite.store.files import store_errors, write_whole


def test_a_file_is_written_with_its_folders_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "name"
    write_whole(path, "first, and longer\n")
    write_whole(path, "zweite ☃\n")
    assert path.read_bytes() == "zweite ☃\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["name"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "name"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_a_write_that_the_disk_refuses_names_the_place_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder"):
        write_whole(tmp_path / "folder", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_an_error_without_a_file_name_is_told_of_the_given_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised, store_errors(tmp_path):
        raise OSError(28, "No space left on device")
    assert raised.value.message == f"{tmp_path}: No space left on device"
    assert raised.value.hint
