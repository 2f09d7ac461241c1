"""The kinds of file that can be written, and llama.cpp's choice of ggml type for each tensor in them.

Covered: Llama models without experts, for the 17 kinds of `Quant`; the choice depends on the tensor's name, its layer
among all, the number of columns, grouped queries, tied output, and on whether there is an importance matrix. Not
covered: kinds that need an importance matrix (below three bits), llama-quantize's options to override a type. Source:
src/llama-quant.cpp of the llama.cpp in llama-cpp-python 0.3.36, whose rules and order of rules these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from math import prod
from types import MappingProxyType

from gguf import GGMLQuantizationType, LlamaFileType

from coalm_lite.converters.writing.ggml import fits
from coalm_lite.errors import UsageError

_Kind = GGMLQuantizationType


class Quant(StrEnum):
    """How the weights are stored."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q6_K = "q6_k"
    Q5_K_M = "q5_k_m"
    Q5_K_S = "q5_k_s"
    Q4_K_M = "q4_k_m"
    Q4_K_S = "q4_k_s"
    Q4_0 = "q4_0"
    Q3_K_L = "q3_k_l"
    Q3_K_M = "q3_k_m"
    Q3_K_S = "q3_k_s"
    Q2_K = "q2_k"
    IQ4_XS = "iq4_xs"
    IQ4_NL = "iq4_nl"
    IQ3_M = "iq3_m"


SHORT_NAMES: Mapping[str, Quant] = MappingProxyType(
    {
        "q2": Quant.Q2_K,
        "q3": Quant.Q3_K_M,
        "q4": Quant.Q4_K_M,
        "q5": Quant.Q5_K_M,
        "q6": Quant.Q6_K,
        "q8": Quant.Q8_0,
    }
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """`kind` is the type of every matrix that no rule gives another one."""

    kind: GGMLQuantizationType
    file_type: LlamaFileType
    quantized: bool = True


RECIPES: Mapping[Quant, Recipe] = MappingProxyType(
    {
        Quant.F32: Recipe(_Kind.F32, LlamaFileType.ALL_F32, quantized=False),
        Quant.F16: Recipe(_Kind.F16, LlamaFileType.MOSTLY_F16, quantized=False),
        Quant.BF16: Recipe(_Kind.BF16, LlamaFileType.MOSTLY_BF16, quantized=False),
        Quant.Q8_0: Recipe(_Kind.Q8_0, LlamaFileType.MOSTLY_Q8_0),
        Quant.Q6_K: Recipe(_Kind.Q6_K, LlamaFileType.MOSTLY_Q6_K),
        Quant.Q5_K_M: Recipe(_Kind.Q5_K, LlamaFileType.MOSTLY_Q5_K_M),
        Quant.Q5_K_S: Recipe(_Kind.Q5_K, LlamaFileType.MOSTLY_Q5_K_S),
        Quant.Q4_K_M: Recipe(_Kind.Q4_K, LlamaFileType.MOSTLY_Q4_K_M),
        Quant.Q4_K_S: Recipe(_Kind.Q4_K, LlamaFileType.MOSTLY_Q4_K_S),
        Quant.Q4_0: Recipe(_Kind.Q4_0, LlamaFileType.MOSTLY_Q4_0),
        Quant.Q3_K_L: Recipe(_Kind.Q3_K, LlamaFileType.MOSTLY_Q3_K_L),
        Quant.Q3_K_M: Recipe(_Kind.Q3_K, LlamaFileType.MOSTLY_Q3_K_M),
        Quant.Q3_K_S: Recipe(_Kind.Q3_K, LlamaFileType.MOSTLY_Q3_K_S),
        Quant.Q2_K: Recipe(_Kind.Q2_K, LlamaFileType.MOSTLY_Q2_K),
        Quant.IQ4_XS: Recipe(_Kind.IQ4_XS, LlamaFileType.MOSTLY_IQ4_XS),
        Quant.IQ4_NL: Recipe(_Kind.IQ4_NL, LlamaFileType.MOSTLY_IQ4_NL),
        Quant.IQ3_M: Recipe(_Kind.IQ3_S, LlamaFileType.MOSTLY_IQ3_M),
    }
)
# what a type of 256 columns becomes when the columns are no multiple of 256; the rest becomes F16
_FALLBACKS: Mapping[GGMLQuantizationType, GGMLQuantizationType] = MappingProxyType(
    {
        _Kind.IQ3_S: _Kind.IQ4_NL,
        _Kind.IQ4_XS: _Kind.IQ4_NL,
        _Kind.Q2_K: _Kind.Q4_0,
        _Kind.Q3_K: _Kind.Q4_0,
        _Kind.Q4_K: _Kind.Q5_0,
        _Kind.Q5_K: _Kind.Q5_1,
        _Kind.Q6_K: _Kind.Q8_0,
    }
)
_GROUPED = 4  # queries a key head, from which on values get more bits in some files
_LAYERS_OF_70B = 80
_MORE_BITS = (Quant.Q4_K_M, Quant.Q5_K_M)
_FOUR_BIT_IQ = (Quant.IQ4_NL, Quant.IQ4_XS)


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What the choice of types depends on beside the tensors."""

    layers: int
    heads: int
    kv_heads: int

    @property
    def grouped(self) -> bool:
        """Whether four or more query heads share a key head."""
        return self.heads // self.kv_heads >= _GROUPED

    @property
    def is_70b(self) -> bool:
        """What llama.cpp takes for a 70B model, by these sizes alone."""
        return self.layers == _LAYERS_OF_70B and self.heads != self.kv_heads


@dataclass(slots=True)
class TypeChooser:
    """Chooses the types of one file's tensors; asked once for each, in llama.cpp's order (`loader_order`)."""

    quant: Quant
    sizes: ModelSizes
    names: Sequence[str]
    has_imatrix: bool
    _values_seen: int = field(init=False, default=0)
    _downs_seen: int = field(init=False, default=0)
    _values: int = field(init=False)
    _tied: bool = field(init=False)

    def __post_init__(self) -> None:
        self._values = sum("attn_v.weight" in name for name in self.names)
        self._tied = "output.weight" not in self.names

    def choose(self, name: str, shape: tuple[int, ...], stored: GGMLQuantizationType) -> GGMLQuantizationType:
        """The type of the tensor in the file; `stored` is its type in the 16-bit file."""
        if not _is_matrix(name, shape):
            return stored
        recipe = RECIPES[self.quant]
        if not recipe.quantized:
            return recipe.kind
        return _fallback(self._wanted(name, shape[-1], recipe.kind), shape[-1])

    def _wanted(self, name: str, columns: int, kind: GGMLQuantizationType) -> GGMLQuantizationType:
        if name == "output.weight" or (self._tied and name == "token_embd.weight"):
            if not fits(kind, columns):
                return _Kind.Q8_0
            return kind if kind is _Kind.Q8_0 else _Kind.Q6_K
        if "attn_v.weight" in name:
            self._values_seen += 1
            return self._of_values(self._values_seen - 1, kind)
        if "ffn_down" in name:
            self._downs_seen += 1
            return self._of_down(self._downs_seen - 1, kind)
        if "attn_output.weight" in name:
            chosen = {Quant.Q2_K: _Kind.Q3_K, Quant.Q3_K_L: _Kind.Q5_K}
            chosen |= dict.fromkeys((Quant.Q3_K_M, Quant.IQ3_M), _Kind.Q4_K)
            return chosen.get(self.quant, kind)
        return kind

    def _of_values(self, at: int, kind: GGMLQuantizationType) -> GGMLQuantizationType:
        quant = self.quant
        if quant is Quant.Q2_K:
            kind = _Kind.Q4_K if self.sizes.grouped else _Kind.Q3_K
        elif quant is Quant.IQ3_M:
            kind = _Kind.Q4_K
        elif quant is Quant.Q3_K_M:
            kind = _Kind.Q5_K if at < 2 else _Kind.Q4_K
        elif quant is Quant.Q3_K_L or (quant in _FOUR_BIT_IQ and self.sizes.grouped):
            kind = _Kind.Q5_K
        elif quant in _MORE_BITS and _gets_more_bits(at, self._values):
            kind = _Kind.Q6_K
        elif quant is Quant.Q4_K_S and at < 4:
            kind = _Kind.Q5_K
        if self.sizes.is_70b and kind in (_Kind.Q3_K, _Kind.Q4_K):
            return _Kind.Q5_K
        return kind

    def _of_down(self, at: int, kind: GGMLQuantizationType) -> GGMLQuantizationType:
        quant, layers = self.quant, self.sizes.layers
        first_eighth = at < layers // 8
        if quant is Quant.Q2_K:
            kind = _Kind.Q3_K
        elif quant is Quant.Q3_K_M:
            kind = _Kind.Q5_K if at < layers // 16 else _Kind.Q4_K
        elif quant is Quant.Q3_K_L:
            kind = _Kind.Q5_K
        elif quant in _MORE_BITS and _gets_more_bits(at, layers):
            kind = _Kind.Q6_K
        elif quant is Quant.IQ3_M and first_eighth:
            kind = _Kind.Q4_K
        elif first_eighth and (quant is Quant.Q4_K_S or (quant in _FOUR_BIT_IQ and not self.has_imatrix)):
            kind = _Kind.Q5_K
        elif first_eighth and quant is Quant.Q4_0 and self.has_imatrix:
            kind = _Kind.Q4_1
        return kind


def parse_quant(text: str) -> Quant:
    """The kind with this name or short name, in any case; UsageError for another text, with what it may be."""
    name = text.lower().replace("-", "_")
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    known = [*map(str, Quant), *SHORT_NAMES]
    if name in known:
        return Quant(name)
    close = get_close_matches(name, known, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    raise UsageError(f"{text!r} is no kind of GGUF file", f"{guess}Known: {', '.join(known)}.")


def _is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    """Whether llama-quantize changes the tensor's type at all."""
    return prod(shape[:-1]) > 1 and name.endswith("weight") and "_norm.weight" not in name


def _gets_more_bits(at: int, count: int) -> bool:
    return at < count // 8 or at >= 7 * count // 8 or (at - count // 8) % 3 == 2


def _fallback(kind: GGMLQuantizationType, columns: int) -> GGMLQuantizationType:
    """`kind`, or what it becomes for rows that are no whole number of its blocks."""
    if fits(kind, columns):
        return kind
    smaller = _FALLBACKS.get(kind, kind)
    return smaller if fits(smaller, columns) else _Kind.F16
