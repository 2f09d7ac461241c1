"""The header of a GGUF file, read without trusting it: metadata, tensor table, and how long the file must be.

Covers GGUF versions 2 and 3, little-endian, as specified in ggml's docs/gguf.md, with the limits of llama.cpp's own
reader (ggml/src/gguf.cpp). Counts and lengths are claims: nothing is allocated by them, every one is held against the
bytes that are there. Tensor data is not read; what the values mean is judged in `model_file`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from coalm_lite.errors import ModelError

Value: TypeAlias = "str | int | float | bool"

DAMAGED_HINT = "The file is damaged or was not downloaded completely: fetch it again."
MAGIC = b"GGUF"
VERSIONS = (2, 3)
VOCABULARY_KEY = "tokenizer.ggml.tokens"

_MAX_KEY_BYTES = 65_535
_MAX_TEXT_BYTES = 8 << 20
_MAX_NAME_BYTES = 63
_MAX_TOKEN_BYTES = 4096
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = (1 << 63) - 1
_MAX_ALIGNMENT = 1 << 20
_DEFAULT_ALIGNMENT = 32
_SMALLEST_PAIR_BYTES = 8 + 1 + 4 + 1
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_UINT32_TYPE = 4
_U32 = _SCALARS[4]
_U64 = _SCALARS[10]

# ggml type id -> elements a block, bytes a block (ggml/src/ggml.c, type_traits). Types 9 and 15 (Q8_1, Q8_K) exist only
# in memory, and the missing ids were withdrawn.
BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
    42: (64, 18),  # Q2_0
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table; `offset` counts from the data section's start."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array's element type and length; its elements are not kept."""

    type_id: int
    length: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself. `needed_bytes` is the least length of a whole file."""

    version: int
    values: Mapping[str, Value]
    arrays: Mapping[str, ArrayInfo]
    vocabulary: tuple[bytes, ...]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    needed_bytes: int

    @property
    def texts(self) -> dict[str, str]:
        """The metadata whose values are strings."""
        return {key: value for key, value in self.values.items() if isinstance(value, str)}


def read_header(path: Path) -> GgufHeader:
    """The header of the GGUF file at `path`; ModelError, naming the place, for anything that is not one."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ModelError(f"{path} is not a GGUF file: it does not begin with the letters GGUF", _GGUF_HINT)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data, path).header()


_GGUF_HINT = "Give the path of a model in GGUF form; coalm_lite.converters.gguf makes one of a Hugging Face folder."


class _Reader:
    """A place in the file that only moves forward, and only over bytes that are there."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._end = len(data)
        self._at = len(MAGIC)
        self._values: dict[str, Value] = {}
        self._arrays: dict[str, ArrayInfo] = {}
        self._vocabulary: tuple[bytes, ...] = ()

    def header(self) -> GgufHeader:
        version = self._number(_U32, "version")
        if version not in VERSIONS:
            raise ModelError(f"{self._path} is GGUF version {version}; versions 2 and 3 can be read", DAMAGED_HINT)
        tensor_count = self._count("tensors", _SMALLEST_TENSOR_BYTES)
        pair_count = self._count("metadata entries", _SMALLEST_PAIR_BYTES)
        for index in range(pair_count):
            self._pair(index)
        alignment = self._alignment()
        tensors = self._tensors(tensor_count, alignment)
        data_offset = _padded(self._at, alignment) if tensors else self._at
        last_end = max((tensor.offset + tensor.size_bytes for tensor in tensors), default=0)
        return GgufHeader(
            version, self._values, self._arrays, self._vocabulary, tensors, data_offset, data_offset + last_end
        )

    def _fail(self, problem: str) -> ModelError:
        return ModelError(f"{self._path}: byte {self._at}: {problem}", DAMAGED_HINT)

    def _skip(self, length: int, what: str) -> int:
        """The position before a step of `length` bytes."""
        if length > self._end - self._at:
            raise self._fail(f"{what} needs {length} bytes, and the file ends after {self._end - self._at} more")
        self._at += length
        return self._at - length

    def _number(self, form: struct.Struct, what: str) -> int:
        value: int = form.unpack_from(self._data, self._skip(form.size, what))[0]
        return value

    def _count(self, what: str, smallest_bytes: int) -> int:
        count = self._number(_U64, f"the number of {what}")
        if count > (self._end - self._at) // smallest_bytes:
            raise self._fail(f"{count} {what} cannot be in a file of {self._end} bytes")
        return count

    def _bytes(self, limit: int, what: str) -> bytes:
        length = self._number(_U64, f"the length of {what}")
        if length > limit:
            raise self._fail(f"{what} has {length} bytes, more than {limit}")
        start = self._skip(length, what)
        return self._data[start : start + length]

    def _name(self, limit: int, what: str) -> str:
        try:
            return self._bytes(limit, what).decode()
        except UnicodeDecodeError as error:
            raise self._fail(f"{what} is not UTF-8") from error

    def _pair(self, index: int) -> None:
        key = self._name(_MAX_KEY_BYTES, f"the key of metadata entry {index}")
        if not key or key in self._values or key in self._arrays:
            raise self._fail(f"metadata entry {index} has the key {key!r}, empty or a second time")
        type_id = self._number(_U32, f"the type of {key!r}")
        if type_id == _ARRAY:
            self._arrays[key] = self._array(key)
        elif type_id == _STRING:
            self._values[key] = self._bytes(_MAX_TEXT_BYTES, f"the value of {key!r}").decode(errors="replace")
        else:
            form = self._scalar(type_id, key)
            self._values[key] = form.unpack_from(self._data, self._skip(form.size, key))[0]

    def _scalar(self, type_id: int, key: str) -> struct.Struct:
        form = _SCALARS.get(type_id)
        if form is None:
            raise self._fail(f"{key!r} has the unknown type {type_id}")
        return form

    def _array(self, key: str) -> ArrayInfo:
        type_id = self._number(_U32, f"the element type of {key!r}")
        if type_id == _STRING:
            length = self._count(f"elements of {key!r}", _U64.size)
            self._strings(key, length)
        else:
            form = self._scalar(type_id, key)
            length = self._count(f"elements of {key!r}", form.size)
            self._skip(length * form.size, key)
        return ArrayInfo(type_id, length)

    def _strings(self, key: str, count: int) -> None:
        """Step over `count` strings, keeping those of the vocabulary. A tight loop: real files have 400,000."""
        data, at, end, unpack = self._data, self._at, self._end, _U64.unpack_from
        kept: list[bytes] | None = [] if key == VOCABULARY_KEY else None
        for index in range(count):
            if at + 8 > end:
                self._at = at
                raise self._fail(f"the file ends in element {index} of {key!r}")
            start = at + 8
            at = start + unpack(data, at)[0]
            if at > end or (kept is not None and at - start > _MAX_TOKEN_BYTES):
                self._at = start
                raise self._fail(f"element {index} of {key!r} has a length of {at - start} bytes, which cannot be")
            if kept is not None:
                kept.append(data[start:at])
        self._at = at
        if kept is not None:
            self._vocabulary = tuple(kept)

    def _alignment(self) -> int:
        value = self._values.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(value, int) or not 0 < value <= _MAX_ALIGNMENT or value & (value - 1):
            raise self._fail(f"general.alignment is {value!r}, not a power of two up to {_MAX_ALIGNMENT}")
        return value

    def _tensors(self, count: int, alignment: int) -> tuple[TensorInfo, ...]:
        tensors: dict[str, TensorInfo] = {}
        expected_offset = 0
        for index in range(count):
            tensor = self._tensor(index)
            if tensor.name in tensors:
                raise self._fail(f"a second tensor is named {tensor.name!r}")
            if tensor.offset != expected_offset:
                raise self._fail(f"tensor {tensor.name!r} lies at {tensor.offset}, expected at {expected_offset}")
            expected_offset = _padded(tensor.offset + tensor.size_bytes, alignment)
            tensors[tensor.name] = tensor
        return tuple(tensors.values())

    def _tensor(self, index: int) -> TensorInfo:
        name = self._name(_MAX_NAME_BYTES, f"the name of tensor {index}")
        dimensions = self._number(_U32, f"the dimensions of {name!r}")
        if not 0 < dimensions <= _MAX_DIMENSIONS:
            raise self._fail(f"tensor {name!r} has {dimensions} dimensions, outside 1 to {_MAX_DIMENSIONS}")
        shape = tuple(self._number(_U64, f"the shape of {name!r}") for _ in range(dimensions))
        type_id = self._number(_U32, f"the type of {name!r}")
        size_bytes = self._size(name, shape, type_id)
        return TensorInfo(name, shape, type_id, self._number(_U64, f"the offset of {name!r}"), size_bytes)

    def _size(self, name: str, shape: tuple[int, ...], type_id: int) -> int:
        if type_id not in BLOCKS:
            raise self._fail(f"tensor {name!r} has the unknown type {type_id}")
        elements = 1
        for side in shape:
            elements *= side
        block_elements, block_bytes = BLOCKS[type_id]
        if not 0 < elements <= _MAX_ELEMENTS or shape[0] % block_elements:
            raise self._fail(f"tensor {name!r} of type {type_id} cannot have the shape {shape}")
        return elements // block_elements * block_bytes


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
