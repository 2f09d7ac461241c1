"""GGUF files written by hand, so that each test breaks one thing; follows ggml's docs/gguf.md."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | list[str] | list[int]"
Tensor: TypeAlias = "tuple[str, tuple[int, ...], int, int]"

MODEL: Mapping[str, Value] = {
    "general.architecture": "llama",
    "llama.context_length": 64,
    "llama.block_count": 1,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}
TENSOR: Tensor = ("token_embd.weight", (32, 3), 0, 0)


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return u64(len(data)) + data


def typed(value: Value) -> bytes:
    """A metadata value behind its type id."""
    match value:
        case bool():
            return u32(7) + bytes([value])
        case int():
            return u32(4) + u32(value)
        case float():
            return u32(6) + struct.pack("<f", value)
        case str():
            return u32(8) + string(value)
        case list():
            numbers = [element for element in value if isinstance(element, int)]
            if numbers:
                return u32(9) + u32(4) + u64(len(numbers)) + b"".join(map(u32, numbers))
            texts = [element for element in value if isinstance(element, str)]
            return u32(9) + u32(8) + u64(len(texts)) + b"".join(map(string, texts))


def pair(key: str | bytes, value: Value) -> bytes:
    return string(key) + typed(value)


def tensor_row(name: str, shape: Sequence[int], type_id: int, offset: int) -> bytes:
    return string(name) + u32(len(shape)) + b"".join(map(u64, shape)) + u32(type_id) + u64(offset)


def gguf_file(pairs: Sequence[bytes], rows: Sequence[bytes] = (), version: int = 3, data_bytes: int = 0) -> bytes:
    """A file of encoded metadata pairs and tensor rows, aligned to 32, with `data_bytes` zeros of tensor data."""
    head = b"GGUF" + u32(version) + u64(len(rows)) + u64(len(pairs)) + b"".join(pairs) + b"".join(rows)
    return head + bytes(-len(head) % 32) + bytes(data_bytes)


def model_file(
    changes: Mapping[str, Value | None] | None = None, tensors: Sequence[Tensor] = (TENSOR,), more: Sequence[bytes] = ()
) -> bytes:
    """A file that passes every check, with metadata changed, left out where None is given, and `more` pairs."""
    values = {**MODEL, **(changes or {})}
    pairs = [pair(key, value) for key, value in values.items() if value is not None] + [*more]
    return gguf_file(pairs, [tensor_row(*tensor) for tensor in tensors], data_bytes=384 * len(tensors))
