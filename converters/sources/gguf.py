"""A GGUF with 16- or 32-bit weights as a source: its keys as they stand, its tensors by their place in the file.

Covered: the Llama files that convert_hf_to_gguf.py and this package write, in one file. What is made of it equals what
llama-quantize makes of it. Not covered: quantized weights (what was lost does not come back), split files, biases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUF_DEFAULT_ALIGNMENT, GGMLQuantizationType
from numpy.typing import NDArray

from coalm_lite.converters.sources.base import GgufHead, Source, SourceFacts, SourceFile, SourceTensor
from coalm_lite.converters.sources.byte_source import LocalBytes
from coalm_lite.converters.sources.gguf_keys import read_keys
from coalm_lite.converters.sources.hf_config import LlamaConfig, expected_tensors
from coalm_lite.converters.sources.weights import VALUE_BYTES, Dtype, stored_blocks
from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import GgufHeader, TensorInfo
from coalm_lite.runtime.model_file import check_model_file

_DTYPES: Mapping[int, Dtype] = {
    GGMLQuantizationType.F32: "F32",
    GGMLQuantizationType.F16: "F16",
    GGMLQuantizationType.BF16: "BF16",
}
_OUTPUT, _ROPE = "output.weight", "rope_freqs.weight"
_SOURCE_HINT = "Take the F16, BF16 or F32 file that it was made from, or the checkpoint itself."
_PLAIN_HINT = "Only plain Llama models can be converted."


@dataclass(frozen=True, slots=True)
class _StoredRows:
    """A tensor's bytes in the file; `row_bytes` of a vector are all of it."""

    file: LocalBytes
    name: str
    offset: int
    row_bytes: int
    rows: int

    def raw_blocks(self, rows_per_block: int) -> Iterator[NDArray[np.uint8]]:
        starts = range(0, self.rows, rows_per_block)
        sizes = (min(rows_per_block, self.rows - first) * self.row_bytes for first in starts)
        yield from stored_blocks(self.file, self.name, self.offset, sizes)


def gguf_source(path: Path) -> Source:
    """The model at `path`; ModelError naming file and tensor when it cannot be converted or must not be loaded."""
    header = check_model_file(path)
    file = LocalBytes.open(path)
    _check_layout(path, header)
    _check_tensors(path, header)
    tensors = tuple(_tensor(file, header, info) for info in header.tensors)
    identity = f"{path.absolute()} {' '.join(map(str, file.stamp))}"
    facts = SourceFacts(path.name, identity, files=(SourceFile(path.name, file.size_bytes),))
    config = _config(header)
    return Source(str(path), facts, tensors, GgufHead(read_keys(path), config.layers, config.heads, config.kv_heads))


def _check_layout(path: Path, header: GgufHeader) -> None:
    parts = header.values.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        hint = "Join them with llama.cpp's llama-gguf-split --merge."
        raise ModelError(f"{path} is the first of {parts} files, and one is needed", hint)
    if header.alignment != GGUF_DEFAULT_ALIGNMENT:
        usual = GGUF_DEFAULT_ALIGNMENT
        problem = f"general.alignment is {header.alignment}, and only {usual}, the usual one, can be converted"
        raise ModelError(f"{path}: {problem}", _SOURCE_HINT)


def _check_tensors(path: Path, header: GgufHeader) -> None:
    """Raise ModelError unless the tensors are those of the Llama that the keys describe, none of them quantized."""
    expected = {spec.name: spec.shape for spec in expected_tensors(_config(header)).values()}
    found = {info.name: info for info in header.tensors}
    for name in expected:
        if name not in found and name != _OUTPUT:  # without it, the embedding serves as output, too
            raise ModelError(f"{path}: {name} is not in the file", _PLAIN_HINT)
    for name, info in found.items():
        if info.type_id not in _DTYPES:
            kind = GGMLQuantizationType(info.type_id).name
            raise ModelError(f"{path}: {name}: {kind} is quantized already, and would lose once more", _SOURCE_HINT)
        if name == _ROPE:
            continue
        if name not in expected:
            raise ModelError(f"{path}: {name}: not a tensor of a Llama without biases and experts", _PLAIN_HINT)
        if info.shape[::-1] != expected[name]:
            problem = f"has shape {list(info.shape[::-1])}, the file's keys ask for {list(expected[name])}"
            raise ModelError(f"{path}: {name}: {problem}", _PLAIN_HINT)


def _tensor(file: LocalBytes, header: GgufHeader, info: TensorInfo) -> SourceTensor:
    dtype, shape = _DTYPES[info.type_id], info.shape[::-1]
    rows = shape[0] if len(shape) > 1 else 1
    offset, row_bytes = header.data_offset + info.offset, shape[-1] * VALUE_BYTES[dtype]
    stored = _StoredRows(file, info.name, offset, row_bytes, rows)
    return SourceTensor(info.name, shape, dtype, f"{file.name}: {info.name}", stored)


def _config(header: GgufHeader) -> LlamaConfig:
    """The sizes that the keys tell; `check_model_file` has seen that they are there and make sense."""

    def number(key: str, default: int = 0) -> int:
        value = header.values.get(f"llama.{key}", default)
        return value if isinstance(value, int) else default

    hidden, heads = number("embedding_length"), number("attention.head_count")
    return LlamaConfig(
        layers=number("block_count"),
        context_tokens=number("context_length"),
        hidden=hidden,
        feed_forward=number("feed_forward_length"),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        head_dim=number("attention.key_length", hidden // heads),
        vocab_size=len(header.vocabulary),
        rms_eps=0.0,
        rope_theta=0.0,
        rope=None,
        tied=_OUTPUT not in {info.name for info in header.tensors},
    )
