"""llama.cpp's importance matrices: GGUF files of the type `imatrix`, as its tool llama-imatrix writes them.

Such a file has the keys `imatrix.datasets`, `imatrix.chunk_count` and `imatrix.chunk_size`, and for each weight matrix
`NAME` two F32 tensors: `NAME.in_sum2`, the sums of the squares of its inputs by column, and `NAME.counts`, over how
many tokens. Covered: reading it as llama-quantize does, matrices of several experts among them, and writing matrices
of one. Not covered: the format before GGUF (`imatrix.dat`), which is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from gguf import GGUFReader, GGUFWriter
from numpy.typing import NDArray

from coalm_lite.errors import ModelError, UsageError
from coalm_lite.runtime.gguf_header import GgufHeader, TensorInfo
from coalm_lite.runtime.gguf_reader import DAMAGED_HINT, MAGIC, quoted
from coalm_lite.runtime.gguf_types import F32, STRING, UINT32
from coalm_lite.runtime.model_file import whole_header

_SUFFIXES = (".in_sum2", ".counts")
_TYPE, _DATASETS = "general.type", "imatrix.datasets"
_CHUNK_COUNT, _CHUNK_TOKENS = "imatrix.chunk_count", "imatrix.chunk_size"
_KIND = "imatrix"
_MAX_FILE_BYTES = 1 << 30  # that of Llama 3.1 405B has 77 MB
_MAX_ELEMENTS = 1024  # of all lists together; the data sets are the only list that belongs into the file
_MAX_COUNT = float(1 << 53)
_HINT = "Make one with `coalm-lite imatrix`, or with llama.cpp's llama-imatrix."
_OLD_HINT = (
    "One of the format before GGUF (imatrix.dat) is turned into it by `llama-imatrix --in-file OLD -o NEW.gguf`."
)


@dataclass(frozen=True, slots=True)
class Imatrix:
    """An importance matrix: by tensor, the mean square of its input in each column, experts one after the other.

    `values` are bit for bit what llama-quantize gives to ggml. `datasets` names what it was computed on, in `chunks`
    chunks of `chunk_tokens` tokens; `sha256` is the file's.
    """

    values: Mapping[str, NDArray[np.float32]]
    datasets: tuple[str, ...]
    chunks: int
    chunk_tokens: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ColumnSums:
    """What the inputs of one matrix came to: the sums of their squares by column, over `tokens` tokens."""

    squares: NDArray[np.float32]
    tokens: int


def read_imatrix(path: Path) -> Imatrix:
    """The importance matrix in the file at `path`; ModelError, naming place and value, for anything that is not one."""
    _check_magic(path)
    header = whole_header(path, _KIND)
    _check_keys(path, header)
    pairs = _pairs(path, header)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            values = {name: _means(path, file, header, name, *pair) for name, pair in sorted(pairs.items())}
        datasets = tuple(GGUFReader(path).fields[_DATASETS].contents())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "Check the disk and the permissions.") from error
    except ValueError as error:
        raise ModelError(f"{path}: {error}", DAMAGED_HINT) from error
    chunks, chunk_tokens = (int(header.values[key]) for key in (_CHUNK_COUNT, _CHUNK_TOKENS))
    return Imatrix(MappingProxyType(values), datasets, chunks, chunk_tokens, digest)


def _check_magic(path: Path) -> None:
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:  # told by `whole_header`
        if file.read(len(MAGIC)) not in (MAGIC, b""):
            raise ModelError(f"{path} is not a GGUF file: it does not begin with the letters GGUF", _OLD_HINT)


def _check_keys(path: Path, header: GgufHeader) -> None:
    """What stands beside the tensors; llama-quantize ends without the last three keys."""
    kind = header.values.get(_TYPE)
    if kind != _KIND:
        raise ModelError(f"{path} is not an importance matrix: {_TYPE} is {quoted(kind)}, not '{_KIND}'", _HINT)
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ModelError(f"{path} has more than {_MAX_FILE_BYTES} bytes, too many for an imatrix", DAMAGED_HINT)
    elements = sum(array.length for array in header.arrays.values())
    if elements > _MAX_ELEMENTS:
        raise ModelError(f"{path}: its lists have {elements} elements, more than {_MAX_ELEMENTS}", _HINT)
    if _DATASETS not in header.arrays or header.arrays[_DATASETS].type_id != STRING:
        raise ModelError(f"{path}: {_DATASETS} is no list of texts", _HINT)
    for key in (_CHUNK_COUNT, _CHUNK_TOKENS):
        if header.type_ids.get(key) != UINT32:
            raise ModelError(f"{path}: {key} is no 32-bit count", _HINT)


def _pairs(path: Path, header: GgufHeader) -> dict[str, tuple[TensorInfo, TensorInfo]]:
    """The sums and counts by the name of the matrix; other tensors are passed over, as llama-quantize does."""
    found: tuple[dict[str, TensorInfo], dict[str, TensorInfo]] = ({}, {})
    for tensor in header.tensors:
        for suffix, named in zip(_SUFFIXES, found, strict=True):
            if tensor.name.endswith(suffix):
                named[tensor.name.removesuffix(suffix)] = _of_floats(path, tensor)
    sums, counts = found
    for name in sums.keys() ^ counts.keys():
        there, missing = _SUFFIXES if name in sums else reversed(_SUFFIXES)
        raise ModelError(f"{path} has {name}{there} and no {name}{missing}", DAMAGED_HINT)
    if not sums:
        raise ModelError(f"{path} has no sums of activations (*{_SUFFIXES[0]})", _HINT)
    return {name: (sums[name], counts[name]) for name in sums}


def _of_floats(path: Path, tensor: TensorInfo) -> TensorInfo:
    if tensor.type_id != F32:
        raise ModelError(f"{path}: {tensor.name} has the type {tensor.type_id}, not {F32} (F32)", DAMAGED_HINT)
    return tensor


def _means(
    path: Path, file: BinaryIO, header: GgufHeader, name: str, sums: TensorInfo, counts: TensorInfo
) -> NDArray[np.float32]:
    """Sums over counts, expert by expert; 1 for an expert that no token went to."""
    squares, tokens = (_numbers(path, file, header, tensor) for tensor in (sums, counts))
    if len(squares) % len(tokens):
        raise ModelError(f"{path}: {name} has {len(squares)} sums for {len(tokens)} counts", DAMAGED_HINT)
    tokens = np.floor(tokens.astype(np.float64) + 0.5).astype(np.float32)
    if not tokens.any():
        raise ModelError(f"{path}: {sums.name} is of 0 tokens, so it says nothing", _HINT)
    rows = squares.reshape(len(tokens), -1)
    used = tokens[:, np.newaxis] > 0
    means = np.divide(rows, tokens[:, np.newaxis], out=np.ones_like(rows), where=used)
    return means.reshape(-1)


def _numbers(path: Path, file: BinaryIO, header: GgufHeader, tensor: TensorInfo) -> NDArray[np.float32]:
    """The tensor's numbers, none of which is below 0 or beyond all bounds."""
    file.seek(header.data_offset + tensor.offset)
    numbers = np.frombuffer(file.read(tensor.size_bytes), "<f4")
    limit = _MAX_COUNT if tensor.name.endswith(_SUFFIXES[1]) else float(np.finfo(np.float32).max)
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers <= limit)))
    if len(wrong):
        place = f"number {wrong[0]} of {tensor.name}"
        raise ModelError(f"{path}: {place} is {numbers[wrong[0]]:.7g}, outside 0 to {limit:.3g}", DAMAGED_HINT)
    return numbers


def write_imatrix(
    path: Path, sums: Mapping[str, ColumnSums], datasets: Sequence[str], chunks: int, chunk_tokens: int
) -> None:
    """Write the file `path`, complete or not at all, byte for byte as llama-imatrix writes these numbers.

    Raises UsageError for a target that is a folder, ModelError when it cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "Name the file to write, such as imatrix.gguf.")
    partial = path.with_name(path.name + ".partial")
    try:
        writer = _writer(sums, datasets, chunks, chunk_tokens)
        try:
            writer.write_header_to_file(partial)
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
        partial.replace(path)
    except OSError as error:
        hint = "Check that the folder exists, may be written and has room."
        raise ModelError(f"{path}: cannot be written: {error.strerror}", hint) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _writer(sums: Mapping[str, ColumnSums], datasets: Sequence[str], chunks: int, chunk_tokens: int) -> GGUFWriter:
    writer = GGUFWriter(path=None, arch="")
    writer.kv_data[0].clear()  # an architecture, which an imatrix does not have
    writer.add_string(_TYPE, _KIND)
    writer.add_array(_DATASETS, list(datasets))
    writer.add_uint32(_CHUNK_COUNT, chunks)
    writer.add_uint32(_CHUNK_TOKENS, chunk_tokens)
    for name in sorted(sums):
        writer.add_tensor(name + _SUFFIXES[0], sums[name].squares.astype(np.float32))
        writer.add_tensor(name + _SUFFIXES[1], np.array([sums[name].tokens], dtype=np.float32))
    return writer
