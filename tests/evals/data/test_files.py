"""Where a suite's files are looked for, and that plain and gzipped ones read alike."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError, UsageError
from coalm_lite.evals.data.files import data_file, fetched_dir, find_data, read_json, read_json_lines

VALUES = [{"id": "a", "n": 1}, {"id": "ä", "n": None}]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_plain_and_gzipped_files_read_alike_under_one_name(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"whole.json{ending}", json.dumps(VALUES))
    write(tmp_path / f"lines.json{ending}", "\n".join(map(json.dumps, VALUES)) + "\n\n")
    assert read_json(tmp_path / "whole.json") == VALUES
    assert read_json_lines(tmp_path / "lines.json") == VALUES
    assert read_json_lines(tmp_path / f"lines.json{ending}") == VALUES


def test_a_line_ends_at_a_line_feed_alone(tmp_path: Path) -> None:
    write(tmp_path / "lines.json", '{"text": "a\u2028b"}\r\n{"text": "c"}')
    assert [entry["text"] for entry in read_json_lines(tmp_path / "lines.json")] == ["a\u2028b", "c"]


def test_a_folder_is_taken_from_the_named_one_else_from_what_was_fetched(tmp_path: Path) -> None:
    (tmp_path / "bfcl").mkdir()
    (fetched_dir() / "multiwoz24").mkdir(parents=True)
    assert find_data("bfcl:live", tmp_path) == tmp_path / "bfcl"
    assert find_data("multiwoz") == fetched_dir() / "multiwoz24"
    with pytest.raises(StoreError) as missing:
        find_data("multiwoz", tmp_path)
    assert str(tmp_path / "multiwoz24") in missing.value.message
    assert "coalm-lite data fetch multiwoz" in missing.value.hint


def test_fetched_executors_serve_beside_a_folder_of_ones_own(tmp_path: Path) -> None:
    (fetched_dir() / "bfcl-executors").mkdir(parents=True)
    assert find_data("bfcl-executors", tmp_path) == fetched_dir() / "bfcl-executors"


def test_a_suite_without_data_is_told_so() -> None:
    with pytest.raises(UsageError, match="'smoke'"):
        find_data("smoke")


def test_the_first_file_that_is_there_is_taken(tmp_path: Path) -> None:
    older = write(tmp_path / "multiwoz24" / "test_a.jsonl.gz", "{}")
    assert data_file(older.parent, "test.jsonl", "test_a.jsonl") == older
    newer = write(tmp_path / "multiwoz24" / "test.jsonl", "{}")
    assert data_file(older.parent, "test.jsonl", "test_a.jsonl") == newer
    with pytest.raises(StoreError, match=r"has no other\.json") as missing:
        read_json(older.parent / "other.json")
    assert "coalm-lite data fetch multiwoz" in missing.value.hint


@pytest.mark.parametrize("damaged", [b"not gzip", gzip.compress(b"[1, 2")[:-12], gzip.compress(b"[1, 2"), b""])
def test_a_damaged_file_is_named(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "values.json.gz"
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"values\.json"):
        read_json(tmp_path / "values.json")


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    write(tmp_path / "lines.json", '{"a": 1}\n[2]\n')
    with pytest.raises(StoreError, match="line 2"):
        read_json_lines(tmp_path / "lines.json")
