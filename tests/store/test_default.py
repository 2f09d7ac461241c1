from __future__ import annotations

import pytest

from coalm_lite import paths
from coalm_lite.errors import StoreError
from coalm_lite.store.default import clear_default, default_file, read_default, set_default


def test_there_is_no_default_until_one_is_set_and_after_it_is_cleared() -> None:
    assert read_default() is None
    set_default("8b-q4")
    assert read_default() == "8b-q4"
    assert default_file().parent == paths.data_dir()
    set_default("hf:owner/repo/a b.gguf")
    assert read_default() == "hf:owner/repo/a b.gguf"
    clear_default()
    clear_default()
    assert read_default() is None


@pytest.mark.parametrize("data", [b"a\nb", b"\xff\xfe", b"x" * 5000, b"a\0b", b"\x1b[2J"])
def test_a_file_that_holds_no_name_is_told_with_the_way_out(data: bytes) -> None:
    set_default("x")
    default_file().write_bytes(data)
    with pytest.raises(StoreError, match="holds no model's name") as raised:
        read_default()
    assert "coalm-lite use NAME" in raised.value.hint


def test_an_empty_file_is_no_choice() -> None:
    set_default("")
    assert read_default() is None


def test_a_folder_in_the_files_place_is_told() -> None:
    default_file().mkdir(parents=True)
    with pytest.raises(StoreError, match="default-model"):
        read_default()
    with pytest.raises(StoreError, match="default-model"):
        set_default("nano")
