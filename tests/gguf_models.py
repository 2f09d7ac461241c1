"""A tiny Llama model with random weights, as a GGUF file, so that tests run the real llama.cpp in a moment.

Its vocabulary is a byte-level BPE in Llama 3's style: 256 bytes, the merges of a few words, special tokens at the end.
A folder's conftest.py imports the two fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from coalm_lite.runtime.llamacpp import LlamaEngine

HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, LAYERS = 256, 512, 4, 2, 2
HEAD_WIDTH = HIDDEN // HEADS
CONTEXT_TOKENS = 2048
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
)
_WORDS = (
    "the",
    " the",
    " hotel",
    "hotel",
    " book",
    " train",
    "user",
    "assistant",
    "system",
    " a",
    " in",
    "name",
    "\n\n",
)
_NORMAL, _CONTROL = 1, 3


def byte_letters() -> list[str]:
    """For each byte the letter that stands for it in a byte-level vocabulary, as GPT-2 chose them."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(shifted)) for byte in range(256)]


def vocabulary() -> tuple[list[str], list[str]]:
    """The tokens, special ones last, and the merges."""
    letters = byte_letters()
    tokens, merges = list(letters), []
    for word in _WORDS:
        spelled = [letters[byte] for byte in word.encode()]
        joined = spelled[0]
        for letter in spelled[1:]:
            merge, joined = f"{joined} {letter}", joined + letter
            if joined not in tokens:
                tokens.append(joined)
                merges.append(merge)
    return [*tokens, *SPECIAL], merges


def write_tiny_model(path: Path, *, layers: int = LAYERS, seed: int = 0, name: str = "tiny") -> Path:
    """Write the model to `path`; the same seed gives the same bytes."""
    writer = GGUFWriter(path, "llama")
    tokens, merges = vocabulary()
    writer.add_name(name)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    add_tokenizer(writer, tokens, merges)
    writer.add_add_bos_token(True)
    shapes = tensor_shapes(
        vocabulary=len(tokens),
        layers=layers,
        hidden=HIDDEN,
        feed_forward=FEED_FORWARD,
        kv_width=KV_HEADS * HEAD_WIDTH,
    )
    for tensor, shape in shapes:
        writer.add_tensor(tensor, _weights(shape, seed, tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer: GGUFWriter, tokens: list[str], merges: list[str]) -> None:
    """Write a Llama 3 tokenizer of these tokens and merges."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in SPECIAL else _NORMAL for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|begin_of_text|>"))
    writer.add_eos_token_id(tokens.index("<|eot_id|>"))


def tensor_shapes(
    *, vocabulary: int, layers: int, hidden: int, feed_forward: int, kv_width: int
) -> list[tuple[str, tuple[int, ...]]]:
    """Each tensor of a Llama model, rows first."""
    block = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, hidden),
        "attn_k": (kv_width, hidden),
        "attn_v": (kv_width, hidden),
        "attn_output": (hidden, hidden),
        "ffn_norm": (hidden,),
        "ffn_gate": (feed_forward, hidden),
        "ffn_up": (feed_forward, hidden),
        "ffn_down": (hidden, feed_forward),
    }
    inner = [(f"blk.{layer}.{name}.weight", sides) for layer in range(layers) for name, sides in block.items()]
    outer = {"output_norm.weight": (hidden,), "output.weight": (vocabulary, hidden)}
    return [("token_embd.weight", (vocabulary, hidden)), *inner, *outer.items()]


def _weights(shape: tuple[int, ...], seed: int, tensor: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Random, of a size at which logits depend on all tokens and rounding is not amplified; norms are ones."""
    if len(shape) == 1:
        return np.ones(shape, dtype=np.float32)
    random = np.random.default_rng([seed, *tensor.encode()])
    return random.standard_normal(shape, dtype=np.float32) * np.float32(0.5 / np.sqrt(shape[-1]))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's file."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def engine(tiny_model: Path) -> Iterator[LlamaEngine]:
    """One engine for all tests that leave it usable; one thread, since tests share the machine."""
    with LlamaEngine.load(tiny_model, threads=1) as loaded:
        yield loaded
