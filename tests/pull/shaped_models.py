"""GGUF files of any Llama shape whose weights are zeros: made in a moment, for what depends on sizes alone.

The weights are a hole in the file, so a large model takes no room on disk; llama.cpp reads it as any other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from gguf import GGUFWriter

from tests.gguf_models import add_tokenizer, tensor_shapes, vocabulary

_F16_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroModel:
    """What a made-up model looks like; `merges` are of nonsense, as many as asked."""

    layers: int = 2
    hidden: int = 256
    feed_forward: int = 512
    heads: int = 4
    kv_heads: int = 2
    vocabulary: int = 512
    merges: int = 0
    context_tokens: int = 4096


def write_zero_model(path: Path, shape: ZeroModel) -> Path:
    """Write the model to `path`, its tensors in f16."""
    writer = GGUFWriter(path, "llama")
    tokens, merges = vocabulary()
    filling = [f"<|filling_{index}|>" for index in range(shape.vocabulary - len(tokens))]
    tokens = [*tokens, *filling]
    merges = [*merges, *nonsense_merges(shape.merges)]
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    add_tokenizer(writer, tokens, merges)
    data_bytes = _add_tensors(writer, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    header_bytes = path.stat().st_size
    os.truncate(path, -(-header_bytes // 32) * 32 + data_bytes)
    return path


def nonsense_merges(count: int) -> list[str]:
    """Merges of words that are no tokens: they take memory and never apply."""
    words = ("".join(letters) for letters in product(ascii_lowercase, repeat=4))
    return [f"{next(words)} {next(words)}" for _ in range(count)]


def _add_tensors(writer: GGUFWriter, shape: ZeroModel) -> int:
    """Announce the tensors; returns the bytes of their data, each padded to 32."""
    total = 0
    tensors = tensor_shapes(
        vocabulary=shape.vocabulary,
        layers=shape.layers,
        hidden=shape.hidden,
        feed_forward=shape.feed_forward,
        kv_width=shape.kv_heads * (shape.hidden // shape.heads),
    )
    for name, sides in tensors:
        kind = np.dtype(np.float32) if len(sides) == 1 else np.dtype(np.float16)
        size_bytes = int(np.prod(sides)) * kind.itemsize
        writer.add_tensor_info(name, sides, kind, size_bytes)
        total += -(-size_bytes // 32) * 32
    return total
