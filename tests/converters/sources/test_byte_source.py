"""A file's bytes come as they lay there when it was opened, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coalm_lite.converters.sources.byte_source import LocalBytes, read_at
from coalm_lite.errors import ModelError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "x").write_bytes(bytes(range(100)))
    return tmp_path / "x"


def test_pieces_have_the_sizes_that_were_asked_for_and_are_ones_own(path: Path) -> None:
    pieces = list(LocalBytes.open(path).pieces(10, [5, 0, 85]))
    assert pieces == [bytes(range(10, 15)), b"", bytes(range(15, 100))]
    assert read_at(LocalBytes.open(path), 99, 1) == b"c"


def test_a_piece_stays_as_it_is_when_the_next_one_is_read(path: Path) -> None:
    pieces = LocalBytes.open(path).pieces(0, [50, 50])
    first = next(pieces)
    next(pieces)
    assert first == bytes(range(50))


def test_what_the_file_does_not_have_is_an_error(path: Path) -> None:
    with pytest.raises(ModelError, match="x: the file ended while it was read"):
        read_at(LocalBytes.open(path), 90, 11)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def write_over(path: Path) -> None:
    path.write_bytes(bytes(100))
    os.utime(path, ns=(0, 1))


def replace(path: Path) -> None:
    status = path.stat()
    new = path.with_name("new")
    new.write_bytes(bytes(100))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize("change", [grow, write_over, replace])
def test_a_file_that_changes_after_it_was_opened_is_seen(path: Path, change: object) -> None:
    assert callable(change)
    opened = LocalBytes.open(path)
    change(path)
    with pytest.raises(ModelError, match="x: the file changed while it was read"):
        read_at(opened, 0, 10)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("folder.safetensors", "a folder"), ("absent", "file not found"), ("pipe", "file not found")):
        with pytest.raises(ModelError, match=f"{name}: {said}"):
            LocalBytes.open(tmp_path / name)
    with pytest.raises(ModelError, match=r"cannot be read: embedded null byte|file not found"):
        LocalBytes.open(tmp_path / "a\0b")


def test_a_file_that_goes_away_is_named(path: Path) -> None:
    opened = LocalBytes.open(path)
    path.unlink()
    with pytest.raises(ModelError, match="x: cannot be read: No such file"):
        read_at(opened, 0, 1)
