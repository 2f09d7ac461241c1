"""How far a tensor is from its source after it was quantized, taken block by block while it streams.

The measure is the root of the sum of squared differences over the sum of squares, over all values of a tensor. Covered:
every type that ggml can read back. Not covered: how much such an error matters; that is `verify`'s work.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from coalm_lite.converters.writing.ggml import dequantize_into, row_bytes
from coalm_lite.store.provenance import TensorErrors

# Three times what each type does to values of a normal distribution, which is more than it does to weights of any
# model seen; a tensor that was swapped, cut or permuted wrongly is at 1.0 or more.
_LARGEST: Mapping[GGMLQuantizationType, float] = MappingProxyType(
    {
        GGMLQuantizationType.F32: 1e-6,
        GGMLQuantizationType.F16: 0.002,
        GGMLQuantizationType.BF16: 0.005,
        GGMLQuantizationType.Q8_0: 0.02,
        GGMLQuantizationType.Q6_K: 0.06,
        GGMLQuantizationType.Q5_K: 0.12,
        GGMLQuantizationType.Q5_0: 0.13,
        GGMLQuantizationType.Q5_1: 0.12,
        GGMLQuantizationType.Q4_K: 0.22,
        GGMLQuantizationType.Q4_0: 0.26,
        GGMLQuantizationType.Q4_1: 0.24,
        GGMLQuantizationType.IQ4_XS: 0.23,
        GGMLQuantizationType.IQ4_NL: 0.23,
        GGMLQuantizationType.Q3_K: 0.45,
    }
)
_LARGEST_BELOW_3_BITS = 0.8
_CHUNK_VALUES = 1 << 16  # 256 kB of float32 stay in a core's own cache; a whole number of every type's blocks


@dataclass(frozen=True, slots=True)
class SquaredError:
    """Sums over some values of a tensor: squared differences, and the squares of the source's values."""

    difference: float = 0.0
    square: float = 0.0

    def __add__(self, other: SquaredError) -> SquaredError:
        return SquaredError(self.difference + other.difference, self.square + other.square)

    @property
    def relative(self) -> float:
        """The tensor's error, 0 for one of zeros that stayed so."""
        if self.difference == 0:
            return 0.0
        return math.sqrt(self.difference / self.square) if self.square else math.inf


def squared_error(kind: GGMLQuantizationType, values: NDArray[np.float32], data: NDArray[np.uint8]) -> SquaredError:
    """The sums for whole rows: `values` as they were, and `data`, the bytes that `kind` made of them.

    Takes about a thirtieth of the time that quantizing to Q4_K takes, most of it without the interpreter's lock;
    threads may call it side by side. Results added in the order of a tensor's blocks give the same sum each time.
    """
    flat, total = np.ascontiguousarray(values, dtype=np.float32).reshape(-1), SquaredError()
    room = np.empty(min(_CHUNK_VALUES, flat.size), dtype=np.float32)
    step = row_bytes(kind, _CHUNK_VALUES)
    for index, start in enumerate(range(0, flat.size, _CHUNK_VALUES)):
        source = flat[start : start + _CHUNK_VALUES]
        found = room[: source.size]
        dequantize_into(found, kind, data[index * step : (index + 1) * step])
        np.subtract(found, source, out=found)
        total += SquaredError(_sum_of_squares(found), _sum_of_squares(source))
    return total


def _sum_of_squares(values: NDArray[np.float32]) -> float:
    # einsum computes on the calling thread alone, where dot would start a thread a core for each of ours
    return float(np.einsum("i,i->", values, values))


def is_plausible(kind: GGMLQuantizationType, error: SquaredError) -> bool:
    """Whether the error can come from quantization alone; False as well for one that is no number."""
    return error.relative <= _LARGEST.get(kind, _LARGEST_BELOW_3_BITS)


def summary(errors: Mapping[str, SquaredError], kinds: Mapping[str, str]) -> TensorErrors:
    """The record of all tensors' errors by name; `kinds` has each tensor's ggml type, such as Q4_K."""
    relative = {name: error.relative for name, error in errors.items()}
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    for name, value in relative.items():
        by_type[kinds[name]].append(value)
    worst = max(relative, key=lambda name: relative[name], default="")
    return TensorErrors(
        tensors=len(relative),
        worst=relative.get(worst, 0.0),
        worst_tensor=worst,
        by_type={kind: fmean(values) for kind, values in sorted(by_type.items())},
    )
