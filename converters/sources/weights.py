"""The tensors of a safetensors checkpoint, found through its headers and read in blocks of rows.

Covered: one `model.safetensors` or shards with `model.safetensors.index.json`, wherever the files lie; BF16, F16 and
F32. Format of a file: 8 bytes little-endian header length, a JSON object of that length (name -> dtype, shape,
[begin, end) in the data), then the data. Every statement of a header is checked against the file before any weight is
read, and weights must be finite. Not covered: pickled weights, F8 and integer types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from coalm_lite.converters.sources.byte_source import ByteSource, LocalBytes, read_at
from coalm_lite.converters.sources.hf_config import JsonFile, parse_json
from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.types import JsonObject, JsonValue

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
Dtype: TypeAlias = Literal["F32", "F16", "BF16"]
VALUE_BYTES: dict[Dtype, int] = {"F32": 4, "F16": 2, "BF16": 2}
_LARGEST_HEADER_BYTES = 100_000_000  # the safetensors library's own bound
_START_BYTES = 1 << 16  # most headers end within it, so that one request brings a whole one
_HINT = "The file is damaged or incomplete: download it again and compare its sha256."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `offset` is counted in bytes from the beginning of `file`."""

    name: str
    file: ByteSource
    dtype: Dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def place(self) -> str:
        """The file and the tensor, for messages."""
        return f"{self.file.name}: {self.name}"

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
        row_bytes = columns * VALUE_BYTES[self.dtype]
        sizes = (min(rows_per_block, rows - first) * row_bytes for first in range(0, rows, rows_per_block))
        yield from stored_blocks(self.file, self.name, self.offset, sizes)


def stored_blocks(file: ByteSource, tensor: str, offset: int, sizes: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """The bytes of a tensor from `offset` on, in blocks of these sizes; an error names the tensor, too."""
    try:
        for piece in file.pieces(offset, sizes):
            yield np.frombuffer(piece, np.uint8)
    except CoalmError as error:
        raise type(error)(f"{error.message} (reading {tensor})", error.hint) from error


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


def index_checkpoint(folder: Path, open_file: Callable[[str], ByteSource] | None = None) -> dict[str, StoredTensor]:
    """Every tensor by name, in llama.cpp's order: by shard, then by name.

    `folder` holds the index, if there is one; `open_file` gives the weights by name where they do not lie beside it.
    """
    opened = open_file or (lambda name: LocalBytes.open(folder / name))
    index_path = folder / INDEX_NAME
    if not index_path.is_file():
        return read_header(opened(SINGLE_NAME))
    shard_of = read_weight_map(index_path)
    tensors: dict[str, StoredTensor] = {}
    files: dict[str, str] = {}
    for shard in sorted(set(shard_of.values())):
        file = opened(shard)
        files[shard] = file.name
        found = read_header(file)
        for name in found:
            if shard_of.get(name) != shard:
                raise ModelError(f"{file.name}: {name} is not listed for this file in {index_path.name}", _HINT)
        tensors |= found
    for name, shard in shard_of.items():
        if name not in tensors:
            raise ModelError(f"{files[shard]}: {name}, listed in {index_path.name}, is not in the file", _HINT)
    return tensors


def read_header(file: ByteSource) -> dict[str, StoredTensor]:
    """The tensors of one safetensors file, sorted by name; raises ModelError when header and file disagree."""
    header, data_start = _load_header(file)
    tensors, spans = [], []
    for name in sorted(header):
        if name == "__metadata__":
            continue
        tensor, size_bytes = _read_entry(file, name, header[name], data_start)
        end = tensor.offset + size_bytes
        if end > file.size_bytes:
            problem = f"data up to byte {end}, but the file ends at {file.size_bytes}"
            raise ModelError(f"{tensor.place}: {problem}", _HINT)
        tensors.append(tensor)
        spans.append((tensor.offset, end, name))
    spans.sort()
    for (_, end, name), (begin, _, following) in pairwise(spans):
        if begin < end:
            raise ModelError(f"{file.name}: {name} and {following} overlap in the file", _HINT)
    return {tensor.name: tensor for tensor in tensors}


def widen(data: bytes | bytearray | NDArray[np.uint8], dtype: Dtype) -> NDArray[np.float32]:
    """The values of little-endian `data` as a flat float32 array; exact for every type."""
    if dtype == "BF16":
        # a bfloat16 is the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.frombuffer(data, "<f2" if dtype == "F16" else "<f4").astype(np.float32)


def _is_counts(value: JsonValue) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def read_weight_map(path: Path) -> dict[str, str]:
    """The file of each tensor, as an index lists it; only names of files beside the index are believed."""
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


def _load_header(file: ByteSource) -> tuple[JsonObject, int]:
    """The header, and where the data begins."""
    size = file.size_bytes
    start = read_at(file, 0, min(size, _START_BYTES))
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > size - 8 or length > _LARGEST_HEADER_BYTES:
        raise ModelError(f"{file.name}: a header of {length} bytes does not fit a file of {size} bytes", _HINT)
    text = start[8 : 8 + length]
    if len(text) < length:
        text += read_at(file, len(start), length - len(text))
    try:
        header = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file.name}: its header cannot be read: {error}", _HINT) from error
    if not isinstance(header, dict):
        raise ModelError(f"{file.name}: its header is no JSON object", _HINT)
    return header, 8 + length


def _read_entry(file: ByteSource, name: str, entry: JsonValue, data_start: int) -> tuple[StoredTensor, int]:
    """The tensor that a header's entry describes, and how many bytes it takes."""
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, span = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    place = f"{file.name}: {name}"
    if not isinstance(dtype, str) or dtype not in VALUE_BYTES:
        known = ", ".join(VALUE_BYTES)
        raise ModelError(f"{place}: dtype {dtype!r:.80} cannot be converted", f"Weights must be one of {known}.")
    if not _is_counts(shape) or not _is_counts(span) or len(span) != 2 or span[0] > span[1]:
        raise ModelError(f"{place}: shape {shape!r:.80} or offsets {span!r:.80} are not lists of sizes", _HINT)
    if not shape or 0 in shape:
        raise ModelError(f"{place}: shape {shape} holds no row of values", _HINT)
    needed = prod(shape) * VALUE_BYTES[dtype]
    if span[1] - span[0] != needed:
        problem = f"{span[1] - span[0]} bytes stored, shape {shape} of {dtype} needs {needed}"
        raise ModelError(f"{place}: {problem}", _HINT)
    return StoredTensor(name, file, dtype, tuple(shape), data_start + span[0]), needed
