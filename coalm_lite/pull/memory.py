"""How much memory a model takes while it writes, by formula: weights, KV cache, llama.cpp's buffers, the process.

Derived from llama.cpp's graph for the Llama family (src/llama-graph.cpp, build_attn and build_ffn; one sequence, an f16
KV cache) and from measurements of its vocabulary. Held against a running engine in tests/pull/test_memory.py. Not
counted: logits of all tokens of a batch, which the engine never asks for and which therefore take addresses but no
memory, and the second copy of repacked weights, whose file pages the system takes back when it needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coalm_lite.catalog import ModelSize
from coalm_lite.runtime.gguf_reader import VOCABULARY_KEY, ArrayInfo, Value
from coalm_lite.runtime.options import DEFAULT_BATCH_TOKENS, DEFAULT_CONTEXT_TOKENS, EXACT_CONTEXT_TOKENS

_F16_BYTES, _F32_BYTES = 2, 4
_CONTEXT_STEP_TOKENS = 256  # llama.cpp rounds a context up to it
# Measured with 128,256 tokens and 280,000 merges: texts, attributes and the two tables to look them up.
_VOCABULARY_BYTES_A_TOKEN = 576
# Measured: 58 to 66 MiB for Python, numpy, the command line and llama.cpp's library, by their versions and the machine.
PROCESS_BYTES = 62 << 20
_GRAPH_BYTES = 6 << 20  # measured: llama.cpp's graphs, scheduler and tables, for small models and large ones


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The sides of a Llama model that decide what it computes on; `key_width` and `value_width` are of one head."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    key_width: int
    value_width: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a model takes in memory; `buffer_bytes` is what is neither weights nor KV cache, this process with it."""

    weights_bytes: int
    kv_bytes: int
    buffer_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.buffer_bytes


def memory_need(
    shape: ModelShape, weights_bytes: int, context_tokens: int, batch_tokens: int = DEFAULT_BATCH_TOKENS
) -> MemoryNeed:
    """The memory that a model of this shape takes with a context of `context_tokens`, computed on the CPU."""
    cells = -(-context_tokens // _CONTEXT_STEP_TOKENS) * _CONTEXT_STEP_TOKENS
    kv_numbers = shape.layers * shape.kv_heads * (shape.key_width + shape.value_width)
    vocabulary_bytes = shape.vocabulary * _VOCABULARY_BYTES_A_TOKEN
    batch = min(batch_tokens, cells)
    engine = compute_bytes(shape, cells, batch) + _work_bytes(shape, cells, batch) + vocabulary_bytes + _GRAPH_BYTES
    buffers = engine + PROCESS_BYTES
    return MemoryNeed(weights_bytes, cells * kv_numbers * _F16_BYTES, buffers)


def compute_bytes(shape: ModelShape, cells: int, batch: int) -> int:
    """The compute buffer of a batch: the attention mask, and the larger of what attention and feed-forward hold.

    Attention holds every head's weights for every cell, unless flash attention computes them piece by piece, which the
    engine leaves off up to EXACT_CONTEXT_TOKENS; beside them, three activations and keys and values before and after
    they are stored. Feed-forward holds its two halves and their product.
    """
    exact = cells <= EXACT_CONTEXT_TOKENS
    activation = batch * shape.hidden * _F32_BYTES
    keys = batch * shape.kv_heads * shape.key_width * _F32_BYTES
    weights = cells * batch * shape.heads * _F32_BYTES if exact else 0
    mask = cells * batch * (_F32_BYTES if exact else _F16_BYTES)
    attention = weights + 3 * activation + 6 * keys
    feed_forward = 3 * batch * shape.feed_forward * _F32_BYTES + 3 * activation
    return mask + max(attention, feed_forward)


def _work_bytes(shape: ModelShape, cells: int, batch: int) -> int:
    """Room for the largest operand of a product in f16: attention's weights, or the feed-forward activation."""
    weights = cells * batch * shape.heads if cells <= EXACT_CONTEXT_TOKENS else 0
    return max(weights, batch * shape.feed_forward) * _F16_BYTES


def usual_memory_need(size: ModelSize, weights_bytes: int) -> MemoryNeed:
    """The memory that a model of the catalog takes with the context that it is opened with unless asked for more."""
    return memory_need(shape_of_size(size), weights_bytes, min(size.context_tokens, DEFAULT_CONTEXT_TOKENS))


def shape_of_size(size: ModelSize) -> ModelShape:
    """The shape that the catalog tells."""
    return ModelShape(
        layers=size.layers,
        hidden=size.hidden,
        feed_forward=size.feed_forward,
        heads=size.heads,
        kv_heads=size.kv_heads,
        key_width=size.head_width,
        value_width=size.head_width,
        vocabulary=size.vocabulary,
    )


def shape_of_header(values: Mapping[str, Value], arrays: Mapping[str, ArrayInfo]) -> ModelShape | None:
    """The shape that a GGUF header tells; None when a number is missing or makes no sense.

    Numbers that differ from layer to layer stand in arrays, which are not read: the heads then stand for the KV heads.
    """
    prefix = f"{values.get('general.architecture')}."

    def number(key: str, default: int = 0) -> int:
        value = values.get(prefix + key, default)
        return value if isinstance(value, int) and 0 < value < 1 << 32 else default

    heads, hidden = number("attention.head_count"), number("embedding_length")
    listed = arrays.get(VOCABULARY_KEY)
    vocabulary = listed.length if listed is not None else number("vocab_size")
    if not (heads and hidden and vocabulary and number("block_count")):
        return None
    width = number("attention.key_length", hidden // heads)
    return ModelShape(
        layers=number("block_count"),
        hidden=hidden,
        feed_forward=number("feed_forward_length", 4 * hidden),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        key_width=width,
        value_width=number("attention.value_length", width),
        vocabulary=vocabulary,
    )
