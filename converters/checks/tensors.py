"""Whether a GGUF file's tensors are what was written, and how far they are from another file's.

Covered: the hash of all tensor data, as the file's provenance has it; values that are no numbers; each tensor's error
against the same tensor of a base, whatever the types of the two. Read in pieces of some megabytes; nothing is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from coalm_lite.converters.sources.byte_source import LocalBytes
from coalm_lite.converters.writing.ggml import dequantize_into, is_finite, row_bytes
from coalm_lite.converters.writing.tensor_error import SquaredError, is_plausible, squared_error, summary
from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import GgufHeader, TensorInfo
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.provenance import TensorErrors

_PIECE_VALUES = 1 << 20  # a whole number of every type's blocks
_SOURCE_HINT = "Is it this model's source?"


@dataclass(frozen=True, slots=True)
class TensorCheck:
    """The errors of a file's tensors against a base; `implausible` are those that quantization does not explain."""

    errors: TensorErrors
    implausible: tuple[str, ...]


def data_hash(path: Path, header: GgufHeader, report: Callable[[int], None] = lambda count: None) -> str:
    """The SHA-256 of all bytes from the first tensor on."""
    digest, file = hashlib.sha256(), LocalBytes.open(path)
    for piece in file.pieces(header.data_offset, _sizes(file.size_bytes - header.data_offset, 4 << 20)):
        digest.update(piece)
        report(len(piece))
    return digest.hexdigest()


def broken_tensors(path: Path, header: GgufHeader, report: Callable[[int], None] = lambda count: None) -> list[str]:
    """The names of tensors with values that are no numbers."""
    file, broken = LocalBytes.open(path), []
    for tensor in header.tensors:
        for data in _pieces(file, header, tensor):
            report(data.nbytes)
            if not is_finite(GGMLQuantizationType(tensor.type_id), data):
                broken.append(tensor.name)
                break
    return broken


def check_tensors(model: Path, base: Path, report: Callable[[int], None] = lambda count: None) -> TensorCheck:
    """Every tensor of `model` against that of `base`; ModelError for one that the base does not have in that shape."""
    header, base_header = check_model_file(model), check_model_file(base)
    file, base_file = LocalBytes.open(model), LocalBytes.open(base)
    originals = {tensor.name: tensor for tensor in base_header.tensors}
    errors: dict[str, SquaredError] = {}
    for tensor in header.tensors:
        original = originals.get(tensor.name)
        if original is None or original.shape != tensor.shape:
            problem = "is not in" if original is None else f"has the shape {list(original.shape)} in"
            raise ModelError(f"{model}: {tensor.name}, of shape {list(tensor.shape)}, {problem} {base}", _SOURCE_HINT)
        pairs = zip(_pieces(file, header, tensor), _pieces(base_file, base_header, original), strict=True)
        errors[tensor.name] = _error(tensor, original, pairs, report)
    kinds = {tensor.name: GGMLQuantizationType(tensor.type_id) for tensor in header.tensors}
    implausible = tuple(name for name, error in errors.items() if not is_plausible(kinds[name], error))
    return TensorCheck(summary(errors, {name: kind.name for name, kind in kinds.items()}), implausible)


def _error(
    tensor: TensorInfo,
    original: TensorInfo,
    pairs: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    report: Callable[[int], None],
) -> SquaredError:
    total, left = SquaredError(), prod(tensor.shape)
    values = np.empty(min(left, _PIECE_VALUES), dtype=np.float32)
    for data, base_data in pairs:
        piece = values[:left]
        dequantize_into(piece, GGMLQuantizationType(original.type_id), base_data)
        total += squared_error(GGMLQuantizationType(tensor.type_id), piece, data)
        left -= piece.size
        report(data.nbytes)
    return total


def _pieces(file: LocalBytes, header: GgufHeader, tensor: TensorInfo) -> Iterator[NDArray[np.uint8]]:
    """The tensor's bytes, a piece of values at a time."""
    step = row_bytes(GGMLQuantizationType(tensor.type_id), _PIECE_VALUES)
    for piece in file.pieces(header.data_offset + tensor.offset, _sizes(tensor.size_bytes, step)):
        yield np.frombuffer(piece, dtype=np.uint8)


def _sizes(total: int, step: int) -> Iterator[int]:
    return (min(step, total - start) for start in range(0, total, step))
