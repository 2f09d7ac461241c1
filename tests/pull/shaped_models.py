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

from tests.gguf_models import SPECIAL, vocabulary

_NORMAL, _CONTROL = 1, 3
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
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in SPECIAL else _NORMAL for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|begin_of_text|>"))
    writer.add_eos_token_id(tokens.index("<|eot_id|>"))
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
    for name, sides in tensor_shapes(shape):
        kind = np.dtype(np.float32) if len(sides) == 1 else np.dtype(np.float16)
        size_bytes = int(np.prod(sides)) * kind.itemsize
        writer.add_tensor_info(name, sides, kind, size_bytes)
        total += -(-size_bytes // 32) * 32
    return total


def tensor_shapes(shape: ZeroModel) -> list[tuple[str, tuple[int, ...]]]:
    """Each tensor of a Llama model, rows first."""
    hidden, wide = shape.hidden, shape.feed_forward
    kv_width = shape.kv_heads * (hidden // shape.heads)
    sides: list[tuple[str, tuple[int, ...]]] = [("token_embd.weight", (shape.vocabulary, hidden))]
    for layer in range(shape.layers):
        block = {
            "attn_norm": (hidden,),
            "attn_q": (hidden, hidden),
            "attn_k": (kv_width, hidden),
            "attn_v": (kv_width, hidden),
            "attn_output": (hidden, hidden),
            "ffn_norm": (hidden,),
            "ffn_gate": (wide, hidden),
            "ffn_up": (wide, hidden),
            "ffn_down": (hidden, wide),
        }
        sides += [(f"blk.{layer}.{name}.weight", tensor) for name, tensor in block.items()]
    return [*sides, ("output_norm.weight", (hidden,)), ("output.weight", (shape.vocabulary, hidden))]
