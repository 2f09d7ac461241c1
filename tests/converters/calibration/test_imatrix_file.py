from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coalm_lite.converters.calibration.imatrix_file import ColumnSums, read_imatrix, write_imatrix
from coalm_lite.errors import ModelError, UsageError
from tests.runtime.gguf_bytes import Value, gguf_file, pair, tensor_row

F32, F16 = 0, 1
KEYS: Mapping[str, Value] = {
    "general.type": "imatrix",
    "imatrix.datasets": ["talk.txt"],
    "imatrix.chunk_count": 2,
    "imatrix.chunk_size": 512,
}
Entry = tuple[str, Sequence[float]]
SUMS: Entry = ("blk.0.attn_q.weight.in_sum2", [8.0, 2.0, 0.0, 1.0])
COUNTS: Entry = ("blk.0.attn_q.weight.counts", [4.0])


def file_bytes(entries: Sequence[Entry] = (SUMS, COUNTS), changes: Mapping[str, Value | None] | None = None) -> bytes:
    """An importance matrix as llama-imatrix lays it out, its keys changed or left out where None is given."""
    values = {**KEYS, **(changes or {})}
    rows, data = [], b""
    for name, numbers in entries:
        rows.append(tensor_row(name, [len(numbers)], F32, len(data)))
        data += struct.pack(f"<{len(numbers)}f", *numbers)
        data += bytes(-len(data) % 32)
    return gguf_file([pair(key, value) for key, value in values.items() if value is not None], rows) + data


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[bytes], ModelError]:
    def read(data: bytes) -> ModelError:
        path = tmp_path / "wrong.gguf"
        path.write_bytes(data)
        with pytest.raises(ModelError) as caught:
            read_imatrix(path)
        assert str(path) in caught.value.message
        assert caught.value.hint
        return caught.value

    return read


def test_values_are_the_means_of_squares_that_llama_quantize_uses(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.gguf"
    path.write_bytes(file_bytes())
    read = read_imatrix(path)
    assert list(read.values) == ["blk.0.attn_q.weight"]
    assert read.values["blk.0.attn_q.weight"].tolist() == [2.0, 0.5, 0.0, 0.25]
    assert read.values["blk.0.attn_q.weight"].dtype == np.float32
    assert (read.datasets, read.chunks, read.chunk_tokens) == (("talk.txt",), 2, 512)
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_experts_have_counts_of_their_own_and_an_unused_one_gets_ones(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.gguf"
    path.write_bytes(file_bytes([("x.in_sum2", [6.0, 3.0, 9.0, 5.0, 1.0, 4.0]), ("x.counts", [3.0, 0.0, 2.0])]))
    assert read_imatrix(path).values["x"].tolist() == [2.0, 1.0, 1.0, 1.0, 0.5, 2.0]


def test_a_count_of_many_tokens_stays_what_it_is(tmp_path: Path) -> None:
    path, tokens = tmp_path / "imatrix.gguf", 8_388_609.0  # one half more is not a float32
    path.write_bytes(file_bytes([("x.in_sum2", [tokens]), ("x.counts", [tokens])]))
    assert read_imatrix(path).values["x"].tolist() == [1.0]


def test_other_tensors_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.gguf"
    path.write_bytes(file_bytes([SUMS, COUNTS, ("x.in_sum3", [1.0])]))
    assert len(read_imatrix(path).values) == 1


def test_what_is_written_is_read_back(tmp_path: Path, sums: dict[str, ColumnSums]) -> None:
    path = tmp_path / "imatrix.gguf"
    write_imatrix(path, sums, ["one.txt", "Übung"], 3, 128)
    read = read_imatrix(path)
    assert (read.datasets, read.chunks, read.chunk_tokens) == (("one.txt", "Übung"), 3, 128)
    assert set(read.values) == set(sums)
    for name, values in read.values.items():
        expected = sums[name].squares / np.float32(sums[name].tokens)
        assert values.tobytes() == expected.tobytes()


def test_the_file_is_byte_for_byte_that_of_llama_imatrix(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.gguf"
    numbers = np.array([8.0, 2.0, 0.0, 1.0], dtype=np.float32)
    write_imatrix(path, {"blk.0.attn_q.weight": ColumnSums(numbers, 4)}, ["talk.txt"], 2, 512)
    assert path.read_bytes() == file_bytes()


def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, sums: dict[str, ColumnSums]) -> None:
    path = tmp_path / "imatrix.gguf"
    path.write_text("something else")
    write_imatrix(path, sums, ["t"], 1, 512)
    assert read_imatrix(path).chunks == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["imatrix.gguf"]


def test_a_target_that_cannot_be_written_is_told(tmp_path: Path, sums: dict[str, ColumnSums]) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        write_imatrix(tmp_path, sums, ["t"], 1, 512)
    with pytest.raises(ModelError, match="cannot be written: No such file"):
        write_imatrix(tmp_path / "missing" / "imatrix.gguf", sums, ["t"], 1, 512)
    assert list(tmp_path.iterdir()) == []


def test_no_file_a_folder_and_an_empty_file_are_told_apart(tmp_path: Path, refusal: Callable[..., object]) -> None:
    with pytest.raises(ModelError, match=r"there is no imatrix file .*none\.gguf"):
        read_imatrix(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="is a folder, and the imatrix is one GGUF file"):
        read_imatrix(tmp_path)
    assert "is empty" in str(refusal(b""))


def test_the_older_format_is_refused_with_the_way_to_the_new_one(refusal: Callable[[bytes], ModelError]) -> None:
    name = b"blk.0.attn_q.weight"
    old = struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii4f", 2, 4, 1, 2, 3, 4)
    error = refusal(old)
    assert "is not a GGUF file" in error.message
    assert "--in-file" in error.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.type": None}, "general.type is None, not 'imatrix'"),
        ({"general.type": "model"}, "general.type is 'model', not 'imatrix'"),
        ({"imatrix.datasets": None}, "imatrix.datasets is no list of texts"),
        ({"imatrix.datasets": "talk.txt"}, "imatrix.datasets is no list of texts"),
        ({"imatrix.datasets": [1, 2]}, "imatrix.datasets is no list of texts"),
        ({"imatrix.datasets": ["x"] * 1025}, "1025 elements, more than 1024"),
        ({"general.tags": [7] * 1024}, "1025 elements, more than 1024"),
        ({"imatrix.chunk_count": None}, "imatrix.chunk_count is no 32-bit count"),
        ({"imatrix.chunk_count": "2"}, "imatrix.chunk_count is no 32-bit count"),
        ({"imatrix.chunk_size": 0.5}, "imatrix.chunk_size is no 32-bit count"),
    ],
)
def test_a_wrong_key_is_named(
    refusal: Callable[[bytes], ModelError], changes: Mapping[str, Value | None], words: str
) -> None:
    assert words in refusal(file_bytes(changes=changes)).message


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "has no sums of activations"),
        ([("x.weight", [1.0])], "has no sums of activations"),
        ([SUMS], "has blk.0.attn_q.weight.in_sum2 and no blk.0.attn_q.weight.counts"),
        ([COUNTS], "has blk.0.attn_q.weight.counts and no blk.0.attn_q.weight.in_sum2"),
        ([SUMS, (COUNTS[0], [1.0, 1.0, 1.0])], "blk.0.attn_q.weight has 4 sums for 3 counts"),
        ([SUMS, (COUNTS[0], [0.0])], "blk.0.attn_q.weight.in_sum2 is of 0 tokens"),
        ([SUMS, (COUNTS[0], [-1.0])], "number 0 of blk.0.attn_q.weight.counts is -1, outside 0 to"),
        ([SUMS, (COUNTS[0], [float("nan")])], "number 0 of blk.0.attn_q.weight.counts is nan, outside"),
        ([SUMS, (COUNTS[0], [1e30])], "number 0 of blk.0.attn_q.weight.counts is 1e+30, outside"),
        ([(SUMS[0], [1.0, float("nan")]), COUNTS], "number 1 of blk.0.attn_q.weight.in_sum2 is nan, outside"),
        ([(SUMS[0], [float("inf"), 1.0]), COUNTS], "number 0 of blk.0.attn_q.weight.in_sum2 is inf, outside"),
        ([(SUMS[0], [1.0, -0.5]), COUNTS], "number 1 of blk.0.attn_q.weight.in_sum2 is -0.5, outside"),
    ],
)
def test_wrong_numbers_are_named(refusal: Callable[[bytes], ModelError], entries: Sequence[Entry], words: str) -> None:
    assert words in refusal(file_bytes(entries)).message


def test_sums_that_are_no_floats_are_refused(refusal: Callable[[bytes], ModelError]) -> None:
    rows = [tensor_row(SUMS[0], [4], F16, 0), tensor_row(COUNTS[0], [1], F32, 32)]
    data = gguf_file([pair(key, value) for key, value in KEYS.items()], rows, data_bytes=64)
    assert "has the type 1, not 0 (F32)" in refusal(data).message


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "cut.gguf", file_bytes()
    for length in range(0, len(whole) - 28, 7):  # the last 28 bytes only fill up to the alignment
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_imatrix(path)


def test_a_claim_of_many_numbers_costs_no_memory(refusal: Callable[[bytes], ModelError]) -> None:
    rows = [tensor_row(SUMS[0], [1 << 40], F32, 0), tensor_row(COUNTS[0], [1], F32, 1 << 42)]
    error = refusal(gguf_file([pair(key, value) for key, value in KEYS.items()], rows, data_bytes=64))
    assert "is cut short" in error.message


@pytest.fixture
def sums() -> dict[str, ColumnSums]:
    def numbers(seed: int, columns: int) -> NDArray[np.float32]:
        return np.random.default_rng(seed).random(columns, dtype=np.float32)

    return {
        "blk.1.ffn_down.weight": ColumnSums(numbers(1, 96), 1536),
        "blk.0.attn_q.weight": ColumnSums(numbers(2, 40), 1536),
    }
