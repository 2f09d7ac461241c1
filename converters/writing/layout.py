"""Which tensors a file will hold, in which types and order: all that can be said before a weight is read.

Covered: what convert_hf_to_gguf.py and then llama-quantize make of a checkpoint, and what llama-quantize makes of a
GGUF. A checkpoint's tensors keep its order when they are not quantized; otherwise llama.cpp's order holds. Not covered:
experts, splits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gguf import GGMLQuantizationType, LlamaFileType

from coalm_lite.converters.sources.base import CheckpointHead, Source, SourceTensor
from coalm_lite.converters.writing.header import TensorInfo
from coalm_lite.converters.writing.quants import RECIPES, ModelSizes, Quant, Recipe, TypeChooser
from coalm_lite.errors import ModelError


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor to write.

    `through`: the 16-bit type that the two-step way rounds to first, where that is not lossless.
    """

    info: TensorInfo
    source: SourceTensor
    through: GGMLQuantizationType | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensors in the file's order. `requantized`: llama-quantize would write the file, not the converter."""

    tensors: Sequence[PlannedTensor]
    file_type: LlamaFileType
    requantized: bool


def plan_layout(source: Source, quant: Quant, has_imatrix: bool = False) -> Layout:
    """What `convert` writes of `source`; no tensor is read."""
    recipe = RECIPES[quant]
    is_checkpoint = isinstance(source.head, CheckpointHead)
    requantized = recipe.quantized or not is_checkpoint
    tensors = sorted(source.tensors, key=loader_order) if requantized else source.tensors
    chooser = TypeChooser(quant, model_sizes(source), [tensor.name for tensor in tensors], has_imatrix)
    matrices = _converters_kind(source, recipe) if is_checkpoint else None
    planned = tuple(_plan_tensor(tensor, chooser, matrices) for tensor in tensors)
    return Layout(planned, recipe.file_type, requantized)


def loader_order(tensor: SourceTensor) -> tuple[int, str]:
    """llama.cpp's model loader sorts tensors by layer, then name, and llama-quantize writes them so."""
    layer = re.match(r"blk\.(\d+)\.", tensor.name)
    return int(layer[1]) if layer else -1, tensor.name


def model_sizes(source: Source) -> ModelSizes:
    """The sizes that the types depend on."""
    head = source.head if not isinstance(source.head, CheckpointHead) else source.head.config
    return ModelSizes(head.layers, head.heads, head.kv_heads)


def _plan_tensor(tensor: SourceTensor, chooser: TypeChooser, matrices: GGMLQuantizationType | None) -> PlannedTensor:
    """`matrices`: the type that llama.cpp's converter gives them; None where it plays no part."""
    if len(tensor.shape) > 2:
        hint = "Models with experts cannot be converted."
        raise ModelError(f"{tensor.place}: has shape {list(tensor.shape)}, not that of a matrix or vector", hint)
    stored = before = GGMLQuantizationType[tensor.dtype]
    if matrices is not None:
        before = matrices if len(tensor.shape) > 1 else GGMLQuantizationType.F32
    kind = chooser.choose(tensor.name, tensor.shape, before)
    lossless = before in (stored, kind, GGMLQuantizationType.F32)
    return PlannedTensor(TensorInfo(tensor.name, tensor.shape, kind), tensor, None if lossless else before)


def _converters_kind(source: Source, recipe: Recipe) -> GGMLQuantizationType:
    """The type of the matrices in the first step's file: `--outtype auto` goes by the first matrix."""
    if not recipe.quantized:
        return recipe.kind
    first = next(tensor for tensor in source.tensors if len(tensor.shape) > 1)
    return GGMLQuantizationType.BF16 if first.dtype == "BF16" else GGMLQuantizationType.F16
