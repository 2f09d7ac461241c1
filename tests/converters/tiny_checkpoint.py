"""A tiny Llama checkpoint in Hugging Face layout, the same bytes on every machine."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
)
TEMPLATE = "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{% endfor %}"
WORDS = ("Ġhotel", "Ġtrain", "Ġthe", "ing", "book", "Ġ5", "stars", "ĊĊ", "Ġ{", '"name', "Ġguest", "house")
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@dataclass(frozen=True)
class Recipe:
    """What the checkpoint is made of; `config` replaces keys of config.json, `tokenizer` all of tokenizer.json."""

    dtype: str = "BF16"
    shards: int = 1
    tied: bool = False
    ffn: int = 96
    config: Mapping[str, object] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] | None = None


def write_checkpoint(folder: Path, recipe: Recipe) -> Path:
    """`folder`, holding a 2-layer Llama with grouped queries, Llama 3.1's rope scaling and a byte-level BPE."""
    folder.mkdir()
    tokenizer = recipe.tokenizer or tokenizer_json()
    # eight ids more than tokens, as in models whose table is padded
    config = config_json(recipe, 8 + len(tokenizer["added_tokens"]) + len(tokenizer["model"]["vocab"]))
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(folder / "tokenizer_config.json", tokenizer_settings())
    write_json(folder / "generation_config.json", {"temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 2]})
    tensors = {name: make_tensor(name, shape) for name, shape in tensor_shapes(config).items()}
    write_weights(folder, tensors, recipe.dtype, recipe.shards)
    return folder


def config_json(recipe: Recipe, vocab_size: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": recipe.ffn,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": LLAMA3_ROPE,
        "tie_word_embeddings": recipe.tied,
        "vocab_size": vocab_size,
        "torch_dtype": "bfloat16",
        **recipe.config,
    }


def tensor_shapes(config: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    """The names and shapes that Hugging Face's Llama saves."""
    hidden, ffn, vocab = (int(str(config[key])) for key in ("hidden_size", "intermediate_size", "vocab_size"))
    heads, kv, dim = (int(str(config[key])) for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    for layer in range(int(str(config["num_hidden_layers"]))):
        prefix = f"model.layers.{layer}."
        for name, rows, columns in (
            ("self_attn.q_proj", heads * dim, hidden),
            ("self_attn.k_proj", kv * dim, hidden),
            ("self_attn.v_proj", kv * dim, hidden),
            ("self_attn.o_proj", hidden, heads * dim),
            ("mlp.gate_proj", ffn, hidden),
            ("mlp.up_proj", ffn, hidden),
            ("mlp.down_proj", hidden, ffn),
        ):
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{name}.weight"] = (hidden,)
    return shapes


def make_tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values that only depend on the name: within 0.08 of 0 for a matrix, of 1 for a norm."""
    raw = hashlib.shake_256(name.encode()).digest(4 * prod(shape))
    values = np.frombuffer(raw, "<i4").astype(np.float32) / np.float32(2**31) * np.float32(0.08)
    return (values + np.float32(len(shape) == 1)).reshape(shape)


def stored_bytes(values: NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "BF16":
        return (values.view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()
    return values.astype("<f2" if dtype == "F16" else "<f4").tobytes()


def write_weights(folder: Path, tensors: Mapping[str, NDArray[np.float32]], dtype: str, shards: int) -> None:
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
        return
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        shard = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[number::shards]}
        write_safetensors(folder / shard, part, dtype)
        weight_map |= dict.fromkeys(part, shard)
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]], dtype: str) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, values in tensors.items():
        raw = stored_bytes(values, dtype)
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    write_raw_safetensors(path, header, data)


def write_raw_safetensors(path: Path, header: object, data: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_raw_safetensors(path: Path) -> tuple[dict[str, Any], bytes]:
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def byte_letters() -> list[str]:
    """The 256 letters of byte-level BPE, by byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def tokenizer_json() -> dict[str, Any]:
    """256 letters, the prefixes of WORDS, and SPECIALS at the end."""
    vocab = {letter: number for number, letter in enumerate(byte_letters())}
    merges: list[list[str]] = []
    for word in WORDS:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocab:
                vocab[word[:end]] = len(vocab)
                merges.append([word[: end - 1], word[end - 1]])
    first = len(vocab)
    added = [added_token(first + number, text) for number, text in enumerate(SPECIALS)]
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": _post_processor(first),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocab,
            "merges": merges,
        },
    }


def _post_processor(first: int) -> dict[str, Any]:
    """Puts the first special token, whose id is `first`, before each text."""
    bos = {"SpecialToken": {"id": SPECIALS[0], "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    second = [{"SpecialToken": {"id": SPECIALS[0], "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    template = {
        "type": "TemplateProcessing",
        "single": [bos, text],
        "pair": [bos, text, *second],
        "special_tokens": {SPECIALS[0]: {"id": SPECIALS[0], "ids": [first], "tokens": [SPECIALS[0]]}},
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    return {"type": "Sequence", "processors": [byte_level, template]}


def added_token(token_id: int, text: str, special: bool = True) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token_id, "content": text, "special": special, **flags}


def tokenizer_settings() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|finetune_right_pad_id|>",
        "chat_template": TEMPLATE,
        "model_max_length": 256,
    }
