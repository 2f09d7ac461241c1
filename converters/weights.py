"""The tensors of a safetensors checkpoint, found through its headers and read in blocks of rows.

Covered: one `model.safetensors` or shards with `model.safetensors.index.json`; BF16, F16 and F32. Format of a file:
8 bytes little-endian header length, a JSON object of that length (name -> dtype, shape, [begin, end) in the data),
then the data. Every statement of a header is checked against the file before any weight is read, and weights must be
finite. Not covered: pickled weights, F8 and integer types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from coalm_lite.errors import ModelError
from coalm_lite.types import JsonObject, JsonValue

from .hf_config import JsonFile

Dtype: TypeAlias = Literal["F32", "F16", "BF16"]
_VALUE_BYTES: dict[Dtype, int] = {"F32": 4, "F16": 2, "BF16": 2}
_LARGEST_HEADER_BYTES = 100_000_000  # the safetensors library's own bound
_HINT = "The file is damaged or incomplete: download it again and compare its sha256."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `offset` is counted in bytes from the beginning of `path`."""

    name: str
    path: Path
    dtype: Dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def place(self) -> str:
        """The file and the tensor, for messages."""
        return f"{self.path}: {self.name}"

    def blocks(self, rows_per_block: int) -> Iterator[NDArray[np.float32]]:
        """The rows in order as float32 (row, column), at most `rows_per_block` at a time; a vector is one row."""
        first = 0
        for raw in self.raw_blocks(rows_per_block):
            block = decode_rows(raw, self.dtype, self.shape[-1], self.place, first)
            first += len(block)
            yield block

    def raw_blocks(self, rows_per_block: int) -> Iterator[NDArray[np.uint8]]:
        """The bytes of the rows in order, at most `rows_per_block` rows at a time."""
        rows, columns = (1, *self.shape)[-2:]
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for first in range(0, rows, rows_per_block):
                count = min(rows_per_block, rows - first)
                data = file.read(count * columns * _VALUE_BYTES[self.dtype])
                if len(data) != count * columns * _VALUE_BYTES[self.dtype]:
                    raise ModelError(f"{self.place}: the file ended while it was read", _HINT)
                yield np.frombuffer(data, np.uint8)


def decode_rows(
    raw: NDArray[np.uint8], dtype: Dtype, columns: int, place: str, first_row: int = 0
) -> NDArray[np.float32]:
    """Stored bytes of whole rows as float32 (row, column), all finite; a value that is not is named with `place`."""
    block = widen(raw, dtype).reshape(-1, columns)
    if not _all_finite(raw, dtype):
        row, column = (int(index) for index in np.argwhere(~np.isfinite(block))[0])
        problem = f"row {first_row + row}, column {column} is {block[row, column]}, not a finite number"
        raise ModelError(f"{place}: {problem}", _HINT)
    return block


def _all_finite(raw: NDArray[np.uint8], dtype: Dtype) -> bool:
    """Whether no exponent is all ones; the stored form is read, since it is the smallest."""
    if not raw.size:
        return True
    word, mask = ("<u4", 0x7F800000) if dtype == "F32" else ("<u2", 0x7F80 if dtype == "BF16" else 0x7C00)
    exponents = np.bitwise_and(raw.view(word), mask)
    return int(exponents.max()) != mask


def index_checkpoint(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor by name, in llama.cpp's order: by shard, then by name."""
    index_path = folder / "model.safetensors.index.json"
    if not index_path.is_file():
        return read_header(folder / "model.safetensors")
    shard_of = _read_weight_map(index_path)
    tensors: dict[str, StoredTensor] = {}
    for shard in sorted(set(shard_of.values())):
        found = read_header(folder / shard)
        for name in found:
            if shard_of.get(name) != shard:
                raise ModelError(f"{folder / shard}: {name} is not listed for this file in {index_path.name}", _HINT)
        tensors |= found
    for name, shard in shard_of.items():
        if name not in tensors:
            raise ModelError(f"{folder / shard}: {name}, listed in {index_path.name}, is not in the file", _HINT)
    return tensors


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one safetensors file, sorted by name; raises ModelError when header and file disagree."""
    header, data_start, data_bytes = _load_header(path)
    tensors, spans = [], []
    for name in sorted(header):
        if name == "__metadata__":
            continue
        begin, end, tensor = _read_entry(path, name, header[name], data_start)
        if end > data_bytes:
            problem = f"data up to byte {data_start + end}, but the file ends at {data_start + data_bytes}"
            raise ModelError(f"{path}: {name}: {problem}", _HINT)
        tensors.append(tensor)
        spans.append((begin, end, name))
    spans.sort()
    for (_, end, name), (begin, _, following) in pairwise(spans):
        if begin < end:
            raise ModelError(f"{path}: {name} and {following} overlap in the file", _HINT)
    return {tensor.name: tensor for tensor in tensors}


def widen(data: bytes | NDArray[np.uint8], dtype: Dtype) -> NDArray[np.float32]:
    """The values of little-endian `data` as a flat float32 array; exact for every type."""
    if dtype == "BF16":
        # a bfloat16 is the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.frombuffer(data, "<f2" if dtype == "F16" else "<f4").astype(np.float32)


def _is_counts(value: JsonValue) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _read_weight_map(path: Path) -> dict[str, str]:
    index = JsonFile.read(path)
    weight_map = index.child("weight_map").data
    if not weight_map:
        raise ModelError(f"{path}: weight_map lists no tensor", _HINT)
    shard_of: dict[str, str] = {}
    for name, shard in weight_map.items():
        # a name with a folder in it would read files outside the checkpoint
        if not isinstance(shard, str) or not re.fullmatch(r"[^/\\\0]+\.safetensors", shard):
            raise ModelError(f"{path}: {name}: {shard!r} is not the name of a safetensors file", _HINT)
        shard_of[name] = shard
    return shard_of


def _load_header(path: Path) -> tuple[JsonObject, int, int]:
    """The header, where the data begins, and how many bytes of data there are."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8 or length > _LARGEST_HEADER_BYTES:
                raise ModelError(f"{path}: a header of {length} bytes does not fit a file of {size} bytes", _HINT)
            header: JsonValue = json.loads(file.read(length).decode("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: file not found", "The folder must hold every shard of the checkpoint.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its header cannot be read: {error}", _HINT) from error
    if not isinstance(header, dict):
        raise ModelError(f"{path}: its header is no JSON object", _HINT)
    return header, 8 + length, size - 8 - length


def _read_entry(path: Path, name: str, entry: JsonValue, data_start: int) -> tuple[int, int, StoredTensor]:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, span = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _VALUE_BYTES:
        known = ", ".join(_VALUE_BYTES)
        raise ModelError(f"{path}: {name}: dtype {dtype!r} cannot be converted", f"Weights must be one of {known}.")
    if not _is_counts(shape) or not _is_counts(span) or len(span) != 2 or span[0] > span[1]:
        raise ModelError(f"{path}: {name}: shape {shape!r} or offsets {span!r} are not lists of sizes", _HINT)
    needed = prod(shape) * _VALUE_BYTES[dtype]
    if span[1] - span[0] != needed:
        problem = f"{span[1] - span[0]} bytes stored, shape {shape} of {dtype} needs {needed}"
        raise ModelError(f"{path}: {name}: {problem}", _HINT)
    return span[0], span[1], StoredTensor(name, path, dtype, tuple(shape), data_start + span[0])
