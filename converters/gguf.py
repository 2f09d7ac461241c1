"""A Llama checkpoint in Hugging Face layout to one GGUF file, one tensor at a time.

Covered: F32, F16, BF16 and Q8_0. Memory is bounded by one block of rows (about 50 MB), whatever the model's size. F32,
F16 and BF16 files equal those of llama.cpp's convert_hf_to_gguf.py; a Q8_0 file equals what llama-quantize makes of
the 16-bit file of that converter (`--outtype auto`: BF16 when the checkpoint is BF16, else F16), order of keys and
tensors included. Only provenance keys given by the caller come on top. Not covered: biases, adapters, splits.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol

import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType
from numpy.typing import NDArray

from coalm_lite.errors import ModelError, UsageError

from .ggml import fits, is_finite, quantize_rows
from .header import ALIGNMENT, Header, TensorInfo, check_metadata, write_header
from .hf_config import (
    Llama3Rope,
    LlamaConfig,
    TensorSpec,
    expected_tensors,
    read_config,
    rope_factors,
)
from .weights import Dtype, StoredTensor, index_checkpoint, widen

_BLOCK_VALUES = 1 << 22  # 16 MiB of float32 at a time
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Quant(StrEnum):
    """How the weights are stored."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """`kind` is the type of every matrix; vectors stay F32."""

    kind: GGMLQuantizationType
    file_type: LlamaFileType
    quantized: bool = False


_RECIPES: Mapping[Quant, _Recipe] = MappingProxyType(
    {
        Quant.F32: _Recipe(GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
        Quant.F16: _Recipe(GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
        Quant.BF16: _Recipe(GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
        Quant.Q8_0: _Recipe(GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0, quantized=True),
    }
)


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What was written: `tensor_types` gives ggml's type by tensor name, in file order."""

    target: Path
    quant: Quant
    parameters: int
    size_bytes: int
    tensor_types: Mapping[str, str]


class _RowSource(Protocol):
    def blocks(self, rows_per_block: int) -> Iterator[NDArray[np.float32]]: ...


@dataclass(frozen=True, slots=True)
class _ComputedVector:
    """A tensor that no checkpoint holds."""

    values: NDArray[np.float32]

    def blocks(self, rows_per_block: int) -> Iterator[NDArray[np.float32]]:
        yield self.values[np.newaxis]


@dataclass(frozen=True, slots=True)
class _PlannedTensor:
    """A tensor to write. `head_rows` above 0: rows are regrouped within each head of that many rows.

    `through`: the 16-bit type that the two-step way rounds to first, where that is not lossless.
    """

    info: TensorInfo
    source: _RowSource
    place: str
    head_rows: int = 0
    through: GGMLQuantizationType | None = None


def convert(source: Path, target: Path, quant: Quant, *, metadata: Mapping[str, str] = _NO_METADATA) -> ConvertReport:
    """Writes the checkpoint folder `source` to `target` and reports what it wrote.

    `metadata`: extra text keys (`general.` or `coalm.`); one that the checkpoint sets too is replaced, an empty value
    removes it. Raises ModelError naming file and tensor when the checkpoint is damaged, incomplete or of another kind,
    UsageError for a bad key or target. `target` appears complete or not at all.
    """
    check_metadata(metadata)
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "Name the file to write, such as model.gguf.")
    recipe = _RECIPES[quant]
    config = read_config(source / "config.json")
    plan = _plan(source, config, recipe)
    header = Header(source, config, [tensor.info for tensor in plan], recipe.file_type, recipe.quantized, metadata)
    partial = target.with_name(target.name + ".partial")
    try:
        write_header(partial, header)
        _append_tensors(partial, plan)
        size_bytes = partial.stat().st_size
        partial.replace(target)
    except OSError as error:
        place = error.filename or target
        hint = "Check that the folder exists, may be written and has room."
        raise ModelError(f"{place}: cannot be read or written: {error.strerror}", hint) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    types = {tensor.info.name: tensor.info.kind.name for tensor in plan}
    parameters = sum(prod(tensor.info.shape) for tensor in plan)
    return ConvertReport(target, quant, parameters, size_bytes, MappingProxyType(types))


def _plan(source: Path, config: LlamaConfig, recipe: _Recipe) -> list[_PlannedTensor]:
    """Every tensor to write, in the file's order."""
    stored = index_checkpoint(source)
    matched = _match(source, config, stored)
    through = _sixteen_bit_kind(matched) if recipe.quantized else None
    plan = [_plan_tensor(spec, tensor, config, recipe.kind, through) for spec, tensor in matched]
    if isinstance(config.rope, Llama3Rope):
        factors = rope_factors(config, config.rope)
        info = TensorInfo("rope_freqs.weight", factors.shape, GGMLQuantizationType.F32)
        plan.insert(0, _PlannedTensor(info, _ComputedVector(factors), info.name))
    return sorted(plan, key=_loader_order) if recipe.quantized else plan


def _match(
    source: Path, config: LlamaConfig, stored: Mapping[str, StoredTensor]
) -> list[tuple[TensorSpec, StoredTensor]]:
    """The stored tensors with what they are, in the order of the checkpoint; all are there, all have their shape."""
    expected = expected_tensors(config)
    for name in expected:
        if name not in stored and not (name == "lm_head.weight" and config.tied):
            hint = "Download the checkpoint again; config.json and the weights must belong together."
            raise ModelError(f"{source}: {name} is in no safetensors file", hint)
    matched = []
    for name, tensor in stored.items():
        if name.endswith(".rotary_emb.inv_freq"):
            continue  # old checkpoints carry it; llama.cpp computes it
        spec = expected.get(name)
        if spec is None:
            problem = f"not a tensor of a Llama with {config.layers} layers and no biases"
            raise ModelError(f"{tensor.place}: {problem}", "Only plain Llama checkpoints can be converted.")
        if tensor.shape != spec.shape:
            problem = f"has shape {list(tensor.shape)}, config.json asks for {list(spec.shape)}"
            raise ModelError(f"{tensor.place}: {problem}", "config.json and the weights must belong together.")
        matched.append((spec, tensor))
    return matched


def _plan_tensor(
    spec: TensorSpec,
    tensor: StoredTensor,
    config: LlamaConfig,
    kind: GGMLQuantizationType,
    through: GGMLQuantizationType | None,
) -> _PlannedTensor:
    if len(spec.shape) == 1:
        kind, through = GGMLQuantizationType.F32, None
    elif not fits(kind, spec.shape[-1]):
        kind = GGMLQuantizationType.F16  # as llama-quantize falls back
    if through is not None and through.name == tensor.dtype:
        through = None
    place = f"{tensor.place}"
    head_rows = config.head_dim if spec.heads else 0
    return _PlannedTensor(TensorInfo(spec.name, spec.shape, kind), tensor, place, head_rows, through)


def _sixteen_bit_kind(matched: list[tuple[TensorSpec, StoredTensor]]) -> GGMLQuantizationType:
    """What `--outtype auto` of llama.cpp's converter chooses: by the first matrix."""
    first = next(tensor for spec, tensor in matched if len(spec.shape) > 1)
    return GGMLQuantizationType.BF16 if first.dtype == "BF16" else GGMLQuantizationType.F16


def _loader_order(tensor: _PlannedTensor) -> tuple[int, str]:
    """llama.cpp's model loader sorts tensors by layer, then name, and llama-quantize writes them so."""
    layer = re.match(r"blk\.(\d+)\.", tensor.info.name)
    return int(layer[1]) if layer else -1, tensor.info.name


def _append_tensors(path: Path, plan: list[_PlannedTensor]) -> None:
    with path.open("ab") as file:
        _pad(file)
        for tensor in plan:
            columns = tensor.info.shape[-1]
            unit = tensor.head_rows or 1
            for block in tensor.source.blocks(max(1, _BLOCK_VALUES // columns // unit) * unit):
                file.write(_encode(tensor, block).data)
            _pad(file)
        file.flush()
        os.fsync(file.fileno())


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))


def _encode(tensor: _PlannedTensor, block: NDArray[np.float32]) -> NDArray[np.uint8]:
    if tensor.head_rows:
        block = _pair_rotary_rows(block, tensor.head_rows)
    if tensor.through is not None:
        dtype: Dtype = "F16" if tensor.through is GGMLQuantizationType.F16 else "BF16"
        block = widen(_quantized(tensor.through, block, tensor.place), dtype).reshape(block.shape)
    return _quantized(tensor.info.kind, block, tensor.place)


def _quantized(kind: GGMLQuantizationType, block: NDArray[np.float32], place: str) -> NDArray[np.uint8]:
    data = quantize_rows(kind, block)
    if not is_finite(kind, data):
        raise ModelError(f"{place}: a value is too large for {kind.name}", "Convert to bf16 or f32 instead.")
    return data


def _pair_rotary_rows(block: NDArray[np.float32], head_rows: int) -> NDArray[np.float32]:
    """The rows of whole heads with each head's two rotary halves interleaved: llama.cpp rotates neighbours."""
    heads, columns = block.shape[0] // head_rows, block.shape[1]
    halves = block.reshape(heads, 2, head_rows // 2, columns)
    return halves.swapaxes(1, 2).reshape(block.shape)
