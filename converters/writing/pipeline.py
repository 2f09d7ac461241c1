"""Tensors encoded on several threads, block by block, and handed out in order.

The calling thread reads and writes; threads decode, regroup and quantize, mostly in numpy and ggml without the
interpreter's lock. A block is about a million values; blocks in the making, or made and not yet handed out, are at most
two more than threads, so that memory is bounded whatever the model's size: a block costs 15 MB at most, and rows of
whole heads (`head_rows`) are not divided. One tensor's end does not wait: the next one's blocks are begun meanwhile.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from coalm_lite.converters.sources.base import SourceTensor
from coalm_lite.converters.sources.weights import Dtype, decode_rows, widen
from coalm_lite.converters.writing.ggml import is_finite, quantize_rows
from coalm_lite.converters.writing.layout import PlannedTensor
from coalm_lite.converters.writing.tensor_error import SquaredError, squared_error
from coalm_lite.errors import ModelError

BLOCK_VALUES = 1 << 20
AHEAD = 2


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """Some rows of a tensor as the file holds them. `error` is None where it was not asked for."""

    tensor: PlannedTensor
    data: NDArray[np.uint8]
    error: SquaredError | None
    read_bytes: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Encoder:
    """How blocks are encoded. `importance`: by tensor name, how much each of its columns matters."""

    importance: Mapping[str, NDArray[np.float32]]
    measured: bool

    def encode(self, tensor: PlannedTensor, raw: NDArray[np.uint8], first_row: int, is_last: bool) -> EncodedBlock:
        """The block whose stored bytes are `raw`; ModelError for a value that is not finite or too large."""
        source = tensor.source
        block = decode_rows(raw, source.dtype, source.shape[-1], source.place, first_row)
        if source.head_rows:
            block = _pair_rotary_rows(block, source.head_rows)
        values = block
        if tensor.through is not None:
            dtype: Dtype = "F16" if tensor.through is GGMLQuantizationType.F16 else "BF16"
            values = widen(_quantized(tensor.through, block, source.place), dtype).reshape(block.shape)
        kind = tensor.info.kind
        data = _quantized(kind, values, source.place, self.importance.get(source.name))
        error = squared_error(kind, block, data) if self.measured else None
        return EncodedBlock(tensor, data, error, raw.nbytes, is_last)


def encode_tensors(
    tensors: Sequence[PlannedTensor], encoder: Encoder, threads: int
) -> Generator[EncodedBlock, None, None]:
    """Every block of every tensor, in order; close it, and what is begun comes to its end unseen."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
    waiting: deque[Future[EncodedBlock]] = deque()
    try:
        for tensor in tensors:
            for raw, first_row, is_last in _raw_blocks(tensor):
                waiting.append(pool.submit(encoder.encode, tensor, raw, first_row, is_last))
                del raw  # the block belongs to its thread now
                while len(waiting) > threads + AHEAD - 1:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def usable_threads() -> int:
    """How many threads this process may keep busy."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def block_rows(source: SourceTensor) -> int:
    """How many rows of a tensor are encoded together: about BLOCK_VALUES values, and whole heads."""
    unit = source.head_rows or 1
    return max(1, BLOCK_VALUES // source.shape[-1] // unit) * unit


def _raw_blocks(tensor: PlannedTensor) -> Iterator[tuple[NDArray[np.uint8], int, bool]]:
    """Stored bytes of blocks of whole heads, with the first row of each and whether it is the last."""
    source = tensor.source
    rows = (1, *source.shape)[-2]
    rows_per_block = block_rows(source)
    first = 0
    for raw in source.rows.raw_blocks(rows_per_block):
        following = min(first + rows_per_block, rows)
        yield raw, first, following == rows
        first = following


def _quantized(
    kind: GGMLQuantizationType,
    block: NDArray[np.float32],
    place: str,
    importance: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    data = quantize_rows(kind, block, importance)
    if not is_finite(kind, data):
        raise ModelError(f"{place}: a value is too large for {kind.name}", "Convert to bf16 or f32 instead.")
    return data


def _pair_rotary_rows(block: NDArray[np.float32], head_rows: int) -> NDArray[np.float32]:
    """The rows of whole heads with each head's two rotary halves interleaved: llama.cpp rotates neighbours."""
    heads, columns = block.shape[0] // head_rows, block.shape[1]
    halves = block.reshape(heads, 2, head_rows // 2, columns)
    return halves.swapaxes(1, 2).reshape(block.shape)
