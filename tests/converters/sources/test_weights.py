"""Safetensors headers are believed only where the file bears them out; values come out exact and finite."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coalm_lite.converters.sources.byte_source import LocalBytes
from coalm_lite.converters.sources.weights import StoredTensor, index_checkpoint, read_header
from coalm_lite.errors import ModelError
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import (
    Recipe,
    make_tensor,
    stored_bytes,
    write_checkpoint,
    write_raw_safetensors,
    write_safetensors,
)


def header_of(path: Path) -> dict[str, StoredTensor]:
    return read_header(LocalBytes.open(path))


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_values_come_back_as_they_were_stored(tmp_path: Path, dtype: str) -> None:
    values = make_tensor("a", (7, 5))
    write_safetensors(tmp_path / "x", {"a": values, "b": make_tensor("b", (9,))}, dtype)
    read = np.concatenate(list(header_of(tmp_path / "x")["a"].blocks(3)))
    assert stored_bytes(read, dtype) == stored_bytes(values, dtype)
    assert np.abs(read - values).max() <= {"BF16": 2**-11, "F16": 2**-14, "F32": 0}[dtype]


def test_blocks_hold_at_most_the_rows_asked_for(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x", {"a": make_tensor("a", (7, 5)), "v": make_tensor("v", (11,))}, "F32")
    tensors = header_of(tmp_path / "x")
    assert [block.shape for block in tensors["a"].blocks(3)] == [(3, 5), (3, 5), (1, 5)]
    assert [block.shape for block in tensors["v"].blocks(3)] == [(1, 11)]


def test_tensors_are_ordered_by_shard_and_then_by_name(tmp_path: Path) -> None:
    tensors = index_checkpoint(write_checkpoint(tmp_path / "sharded", Recipe(shards=3)))
    assert list(tensors) == sorted(tensors, key=lambda name: (tensors[name].file.name, name))
    assert len({tensor.file.name for tensor in tensors.values()}) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_row_and_column(tmp_path: Path, value: float) -> None:
    values = make_tensor("a", (7, 5))
    values[4, 2] = value
    write_safetensors(tmp_path / "x", {"a": values}, "BF16")
    with pytest.raises(ModelError, match=r"x: a: row 4, column 2 is -?(nan|inf), not a finite number"):
        list(header_of(tmp_path / "x")["a"].blocks(3))


def test_a_file_that_shrinks_while_it_is_read_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_safetensors(path, {"a": make_tensor("a", (7, 5))}, "F32")
    tensor = header_of(path)["a"]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"x: the file ended while it was read \(reading a\)"):
        list(tensor.blocks(7))


def entry(dtype: object = "F32", shape: object = (2, 2), span: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": entry(span=(0, 32), shape=(2, 4))}, "a: data up to byte"),
        ({"a": entry(span=(0, 8))}, r"a: 8 bytes stored, shape \[2, 2\] of F32 needs 16"),
        ({"a": entry(), "b": entry(span=(8, 24))}, "a and b overlap"),
        ({"a": entry(dtype="F8_E4M3", span=(0, 4))}, "a: dtype 'F8_E4M3' cannot be converted"),
        ({"a": entry(dtype=["F32"])}, "a: dtype .* cannot be converted"),
        ({"a": entry(span=(16, 0))}, "a: shape .* or offsets .* are not lists of sizes"),
        ({"a": entry(shape=[-2, -2])}, "a: shape .* are not lists of sizes"),
        ({"a": entry(shape=[True, 4])}, "a: shape .* are not lists of sizes"),
        ({"a": entry(span=(-16, 0))}, r"a: shape .* or offsets \[-16, 0\] are not lists of sizes"),
        ({"a": entry(span=(0, 16, 32))}, "a: shape .* or offsets .* are not lists of sizes"),
        ({"a": entry(shape=[0, 4], span=(0, 0))}, r"a: shape \[0, 4\] holds no row of values"),
        ({"a": entry(shape=[], span=(0, 4))}, r"a: shape \[\] holds no row of values"),
        ({"a": entry(shape=[2**62, 2**62])}, "a: 16 bytes stored, shape .* needs"),
        ({"a": None}, "a: dtype None cannot be converted"),
        (["a"], "its header is no JSON object"),
    ],
)
def test_a_header_that_contradicts_its_file_is_refused(tmp_path: Path, header: object, said: str) -> None:
    write_raw_safetensors(tmp_path / "x", header, bytes(24))
    with pytest.raises(ModelError, match=said) as caught:
        header_of(tmp_path / "x")
    assert str(tmp_path / "x") in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "a header of 0 bytes does not fit a file of 0 bytes"),
        (b"\x05\x00\x00", "does not fit a file of 3 bytes"),
        (struct.pack("<Q", 2**63) + b"{}", "a header of 9223372036854775808 bytes does not fit a file of 10 bytes"),
        (struct.pack("<Q", 3) + b"{}", "a header of 3 bytes does not fit"),
        (struct.pack("<Q", 2) + b"{,", "its header cannot be read"),
        (struct.pack("<Q", 15) + b'{"a":1,"a":{}} ', "the key 'a' stands there a second time"),
        (struct.pack("<Q", 2) + b"\xff\xfe", "its header cannot be read"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "its header cannot be read"),
    ],
)
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(ModelError, match=said):
        header_of(tmp_path / "x")


def test_a_header_longer_than_the_first_read_is_whole(tmp_path: Path) -> None:
    values = {f"tensor-{number}": make_tensor("t", (2, 2)) for number in range(2000)}
    write_safetensors(tmp_path / "x", values, "F32")
    tensors = header_of(tmp_path / "x")
    assert tensors.keys() == values.keys()
    (block,) = tensors["tensor-1999"].blocks(2)
    assert np.array_equal(block, values["tensor-1999"])


def set_shard(name: str) -> Callable[[dict[str, dict[str, str]]], None]:
    return lambda index: index["weight_map"].update({"model.norm.weight": name})


SHARD = "model-00001-of-00002.safetensors"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index["weight_map"].update(extra=SHARD), "extra, listed in .* is not"),
        (lambda index: index["weight_map"].pop("model.norm.weight"), "model.norm.weight is not listed for this file"),
        (set_shard("absent.safetensors"), "absent.safetensors: file not found"),
        (set_shard("../tiny/model-00001-of-00002.safetensors"), "'../tiny/model-.*' is not the name"),
        (set_shard("..\\model.safetensors"), "is not the name of a safetensors file"),
        (set_shard(".."), "is not the name of a safetensors file"),
        (set_shard(""), "is not the name of a safetensors file"),
        (lambda index: index.update(weight_map={}), "weight_map lists no tensor"),
        (lambda index: index.update(weight_map=[]), "weight_map = .*must be an object"),
    ],
)
def test_an_index_that_contradicts_the_shards_is_refused(
    tmp_path: Path, edit_json: EditJson, change: Callable[[object], None], said: str
) -> None:
    folder = write_checkpoint(tmp_path / "tiny", Recipe(shards=2))
    edit_json(folder / "model.safetensors.index.json", change)
    with pytest.raises(ModelError, match=said):
        index_checkpoint(folder)
