from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.runtime.fingerprint import fingerprint
from coalm_lite.runtime.snapshots import Snapshot, SnapshotFolder

TOKENS = tuple(range(100))


def snapshot(tokens: tuple[int, ...] = TOKENS, size: int = 1000) -> Snapshot:
    return Snapshot(tokens, np.random.default_rng(len(tokens)).integers(0, 256, size, dtype=np.uint8))


def test_what_was_saved_is_found_for_the_longest_common_beginning(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "new" / "folder")
    assert folder.find("key", TOKENS, 1) is None
    for tokens in (TOKENS[:40], TOKENS, (*TOKENS[:60], 7, 7)):
        assert folder.save("key", snapshot(tokens)) is not None
    found = folder.find("key", [*TOKENS, 5, 6], 64)
    assert found is not None
    assert found.tokens == TOKENS
    np.testing.assert_array_equal(found.state, snapshot().state)
    assert folder.find("other key", TOKENS, 1) is None
    assert folder.find("key", [9, 9, 9], 1) is None
    assert folder.find("key", TOKENS[:50], 51) is None


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 2000), cut=st.booleans(), byte=st.integers(1, 255))
def test_a_damaged_file_is_never_read_and_deleted(
    tmp_path_factory: pytest.TempPathFactory, place: int, cut: bool, byte: int
) -> None:
    folder = SnapshotFolder(tmp_path_factory.mktemp("kv"))
    path = folder.save("key", snapshot())
    assert path is not None
    data = bytearray(path.read_bytes())
    place %= len(data)
    if cut:
        del data[place:]
    else:
        data[place] ^= byte
    path.write_bytes(data)
    found = folder.find("key", TOKENS, 1)
    if found is None:
        return  # deleted, or its key or its tokens are others now
    assert found.tokens == TOKENS  # only what does not count was changed
    np.testing.assert_array_equal(found.state, snapshot().state)


def test_a_cut_file_is_gone_after_it_was_looked_at(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    path = folder.save("key", snapshot())
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert folder.find("key", TOKENS, 1) is None
    assert not path.exists()


def test_the_folder_stays_below_its_limit_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, limit_bytes=5000)
    paths = []
    for number in range(3):
        path = folder.save("key", snapshot((number, *TOKENS)))
        assert path is not None
        os.utime(path, (number, number))
        paths.append(path)
    folder.find("key", (0, *TOKENS), 1)  # the oldest is used again
    folder.save("key", snapshot((9, *TOKENS)))
    assert [path.exists() for path in paths] == [True, False, True]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5000 + 3 * 300
    assert folder.save("key", snapshot(size=2600)) is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = SnapshotFolder(tmp_path / "file" / "folder")
    assert folder.save("key", snapshot()) is None
    assert folder.find("key", TOKENS, 1) is None


def test_nothing_unfinished_stays(tmp_path: Path) -> None:
    stale = tmp_path / ".new-0123456789abcdef"
    stale.write_bytes(b"half")
    os.utime(stale, (0, 0))
    SnapshotFolder(tmp_path).save("key", snapshot())
    assert [path.suffix for path in tmp_path.iterdir()] == [".kv"]


def test_a_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(bytes(20 << 20))
    before = fingerprint(path)
    assert fingerprint(path) == before
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert fingerprint(path) != before
