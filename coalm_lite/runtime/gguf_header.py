"""The header of a GGUF file, read without trusting it: metadata, tensor table, and how long the file must be.

The metadata is read in `gguf_reader`, with its limits; here stand the tensor table, whose rules are those of
llama.cpp's own reader (ggml/src/gguf.cpp), and the values that both give. Tensor data is not read; what the values
mean is judged in `model_file`.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_reader import GGUF_HINT, VOCABULARY_KEY, ArrayInfo, BytesEnd, GgufReader, Value
from coalm_lite.runtime.gguf_types import BLOCKS, SCALARS, UINT32, UINT64

__all__ = [
    "VOCABULARY_KEY",
    "ArrayInfo",
    "GgufHeader",
    "LeadingValues",
    "TensorInfo",
    "Value",
    "read_header",
    "read_leading_values",
]

_MAX_NAME_BYTES = 63
_MAX_TENSORS = 1 << 14  # Llama 3.1 405B has 1,138
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = (1 << 63) - 1
_MAX_ALIGNMENT = 1 << 20
_MAX_FILE_BYTES = (1 << 63) - 1
_DEFAULT_ALIGNMENT = 32
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8
_U32, _U64 = SCALARS[UINT32], SCALARS[UINT64]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table; `offset` counts from the data section's start."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself. `needed_bytes` is the least length of a whole file.

    `type_ids` has the GGUF type of each of `values`, and of each of `arrays` the type of an array. `text_spans` has
    where each text lies in the file: its first byte and its length in bytes.
    """

    version: int
    values: Mapping[str, Value]
    type_ids: Mapping[str, int]
    arrays: Mapping[str, ArrayInfo]
    vocabulary: tuple[bytes, ...]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int
    needed_bytes: int
    text_spans: Mapping[str, tuple[int, int]]

    @property
    def texts(self) -> dict[str, str]:
        """The metadata whose values are strings."""
        return _texts(self.values)


@dataclass(frozen=True, slots=True)
class LeadingValues:
    """The metadata in a file's first bytes; `complete` when all of it was there.

    `arrays` may end with one whose length is known, and whose elements lie behind the bytes.
    """

    version: int
    values: Mapping[str, Value]
    arrays: Mapping[str, ArrayInfo]
    complete: bool

    @property
    def texts(self) -> dict[str, str]:
        """The metadata whose values are strings."""
        return _texts(self.values)


def read_header(path: Path) -> GgufHeader:
    """The header of the GGUF file at `path`; ModelError, naming the place, for anything that is not one."""
    with path.open("rb") as file:
        if not file.read(1):
            raise ModelError(f"{path} is empty", GGUF_HINT)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = GgufReader(data, str(path), len(data))
            return _whole_header(reader)


def read_leading_values(data: bytes, name: str, file_bytes: int | None = None) -> LeadingValues:
    """The metadata in `data`, the first bytes of the file `name`, as far as they reach.

    `file_bytes` is the file's length, if it is known: counts and lengths are held against it. Raises ModelError for
    bytes that are no GGUF file's beginning; 24 of them or more are needed.
    """
    reader = GgufReader(data, name, _MAX_FILE_BYTES if file_bytes is None else max(file_bytes, len(data)))
    version, complete = 0, True
    try:
        version = reader.version()
        reader.read_metadata(_SMALLEST_TENSOR_BYTES, _MAX_TENSORS)
    except BytesEnd:
        complete = False
    if not version:
        raise ModelError(f"{name}: {len(data)} bytes are too few to tell what it is", GGUF_HINT)
    return LeadingValues(version, reader.metadata.values, reader.metadata.arrays, complete)


def _texts(values: Mapping[str, Value]) -> dict[str, str]:
    return {key: value for key, value in values.items() if isinstance(value, str)}


def _whole_header(reader: GgufReader) -> GgufHeader:
    version = reader.version()
    tensor_count = reader.read_metadata(_SMALLEST_TENSOR_BYTES, _MAX_TENSORS)
    alignment = _alignment(reader)
    tensors = _tensors(reader, tensor_count, alignment)
    data_offset = _padded(reader.position, alignment) if tensors else reader.position
    last_end = max((tensor.offset + tensor.size_bytes for tensor in tensors), default=0)
    read = reader.metadata
    return GgufHeader(
        version,
        read.values,
        read.type_ids,
        read.arrays,
        read.vocabulary,
        tensors,
        alignment,
        data_offset,
        data_offset + last_end,
        read.text_spans,
    )


def _alignment(reader: GgufReader) -> int:
    value = reader.metadata.values.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 0 < value <= _MAX_ALIGNMENT or value & (value - 1):
        raise reader.fail(f"general.alignment is {value!r:.60}, not a power of two up to {_MAX_ALIGNMENT}")
    return value


def _tensors(reader: GgufReader, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    """The table's rows; they must lie one behind the other, so that no two overlap."""
    tensors: dict[str, TensorInfo] = {}
    expected_offset = 0
    for index in range(count):
        tensor = _tensor(reader, index)
        if tensor.name in tensors:
            raise reader.fail(f"a second tensor is named {tensor.name!r}")
        if tensor.offset != expected_offset:
            raise reader.fail(f"tensor {tensor.name!r} lies at {tensor.offset}, expected at {expected_offset}")
        expected_offset = _padded(tensor.offset + tensor.size_bytes, alignment)
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _tensor(reader: GgufReader, index: int) -> TensorInfo:
    name = reader.name(_MAX_NAME_BYTES, f"the name of tensor {index}")
    dimensions = reader.number(_U32, f"the dimensions of {name!r}")
    if not 0 < dimensions <= _MAX_DIMENSIONS:
        raise reader.fail(f"tensor {name!r} has {dimensions} dimensions, outside 1 to {_MAX_DIMENSIONS}")
    shape = tuple(reader.number(_U64, f"the shape of {name!r}") for _ in range(dimensions))
    type_id = reader.number(_U32, f"the type of {name!r}")
    size_bytes = _size(reader, name, shape, type_id)
    return TensorInfo(name, shape, type_id, reader.number(_U64, f"the offset of {name!r}"), size_bytes)


def _size(reader: GgufReader, name: str, shape: tuple[int, ...], type_id: int) -> int:
    if type_id not in BLOCKS:
        raise reader.fail(f"tensor {name!r} has the unknown type {type_id}")
    elements = 1
    for side in shape:
        elements *= side
    block_elements, block_bytes = BLOCKS[type_id]
    if not 0 < elements <= _MAX_ELEMENTS or shape[0] % block_elements:
        raise reader.fail(f"tensor {name!r} of type {type_id} cannot have the shape {shape}")
    return elements // block_elements * block_bytes


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
