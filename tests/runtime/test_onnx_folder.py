"""The folder's record: what is read, and each way in which it can be wrong or hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.runtime.onnx_folder import changed_files, read_onnx_folder
from tests.onnx_models import FP32, copied

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copied(FP32, tmp_path / "m")


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as raised:
        read_onnx_folder(path)
    assert raised.value.hint
    return raised.value


def rewrite(folder: Path, change: Change) -> None:
    record = json.loads((folder / "coalm.json").read_text())
    change(record)
    (folder / "coalm.json").write_text(json.dumps(record))


def test_what_a_sound_folder_says(folder: Path) -> None:
    read = read_onnx_folder(folder)
    assert read.quant == "fp32"
    assert read.parameters == 101312
    assert read.model == folder / "model.onnx"
    assert read.vocabulary == folder / "vocabulary.gguf"
    assert read.size_bytes == sum(path.stat().st_size for path in folder.iterdir() if path.name != "coalm.json")
    assert "onnxruntime" in read.versions
    assert read.provenance["converter"] == "coalm-lite"


def test_changed_bytes_are_found_by_their_hash(folder: Path) -> None:
    counts: list[int] = []
    assert list(changed_files(read_onnx_folder(folder), counts.append)) == []
    assert sum(counts) == read_onnx_folder(folder).size_bytes
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "model.onnx").write_bytes(data)
    assert list(changed_files(read_onnx_folder(folder))) == ["model.onnx"]


def test_a_path_that_is_no_such_folder(tmp_path: Path) -> None:
    assert "there is no folder" in refusal(tmp_path / "nothing").message
    (tmp_path / "file").touch()
    assert "there is no folder" in refusal(tmp_path / "file").message
    (tmp_path / "empty").mkdir()
    error = refusal(tmp_path / "empty")
    assert "is no ONNX model: there is no coalm.json in it" in error.message
    assert "coalm-lite convert" in error.hint


@pytest.mark.parametrize("name", ["model.onnx", "vocabulary.gguf", "tokenizer.json"])
def test_a_missing_or_shortened_file_is_named(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1])
    assert refusal(folder).message.endswith(f"{name} has {len(data) - 1} bytes, and {len(data)} were written")
    (folder / name).unlink()
    assert refusal(folder).message.endswith(f"{name} is missing")
    (folder / name).mkdir()
    assert refusal(folder).message.endswith(f"{name} is missing")


@pytest.mark.parametrize(
    "name",
    ["../secret", "a/b", "/etc/passwd", "..", ".", "", "a\\b", "C:x", "a\0b", "a\nb", "x" * 300, "coalm.json", 7, None],
)
def test_a_name_that_leads_elsewhere_is_refused(folder: Path, name: object) -> None:
    rewrite(folder, lambda record: record["files"][0].update(name=name))
    error = refusal(folder)
    assert "is not the name of a file in the folder" in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: record.pop("files"), "files: is no list"),
        (lambda record: record.update(files=[]), "files: does not list model.onnx"),
        (lambda record: record["files"].append(record["files"][0]), "files: names a file twice"),
        (lambda record: record["files"][0].update(size_bytes=-1), "size_bytes: is -1"),
        (lambda record: record["files"][0].update(size_bytes=True), "size_bytes: is True"),
        (lambda record: record["files"][0].update(sha256="0"), "sha256 is '0'"),
        (lambda record: record.update(quant=4), "quant: is no text"),
        (lambda record: record.update(parameters=1.5), "parameters: is 1.5"),
        (lambda record: record.update(parameters=1 << 60), "not a number of them"),
        (lambda record: record.update(versions=[]), "versions: is no object"),
        (lambda record: record.update(provenance="x"), "provenance: is no object"),
        (lambda record: record.update(format=2), "format is 2"),
        (lambda record: record.pop("format"), "format is None"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, change: Change, problem: str) -> None:
    rewrite(folder, change)
    error = refusal(folder)
    assert problem in error.message
    assert "coalm.json" in error.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"0" * (5 << 20)])
def test_a_record_that_is_no_object_of_json(folder: Path, data: bytes) -> None:
    (folder / "coalm.json").write_bytes(data)
    assert "coalm.json" in refusal(folder).message


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_record_raises_anything_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any value in the place of any entry is read or refused."""
    folder = copied(FP32, tmp_path_factory.mktemp("any") / "m")
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    value = data.draw(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    key = data.draw(st.sampled_from(["format", "quant", "recipe", "parameters", "versions", "provenance", "files"]))
    rewrite(folder, lambda record: record.update({key: value}))
    try:
        read_onnx_folder(folder)
    except CoalmError as error:
        assert error.hint
