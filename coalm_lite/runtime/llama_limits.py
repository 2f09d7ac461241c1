"""What llama.cpp asserts of a Llama model, so that a file which it would end the process over never reaches it.

Covers the architecture `llama` without experts, the only one that CoALM has and that the mutants in
benchmarks/mutants.py were drawn from; any other is refused. The assertions are those of src/llama-model.cpp
(load_hparams), src/llama-vocab.cpp (load), src/models/llama.cpp and ggml's operations. What llama.cpp refuses by
itself, such as a missing tensor or one of the wrong shape, is left to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from coalm_lite.runtime.gguf_header import GgufHeader, TensorInfo
from coalm_lite.runtime.gguf_reader import VOCABULARY_KEY, Value, quoted
from coalm_lite.runtime.gguf_types import F32, NOT_WEIGHTS

ARCHITECTURE = "llama"
TOKENIZER_KEY = "tokenizer.ggml.model"
SPLITTER_KEY = "tokenizer.ggml.pre"

_MAX_LAYERS = 512
_MAX_NUMBER = (1 << 31) - 1
_LEAST_ALIGNMENT = 32
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
_TOKENIZERS_WITH_MARKERS = ("gpt2", "llama")
# The names of Llama 3's way of splitting text into words. Of all 91 that llama.cpp has 34 end the process over
# 60,000 full stops or letters (std::regex overflows the stack), `whitespace` over two spaces as well.
_SPLITTERS = ("llama-bpe", "llama3", "llama-v3", "smaug-bpe")
_ABSENT = ("expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count", "nextn_predict_layers")
_NUMBERS = ("rope.freq_base", "rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor")
_SCALARS = (
    "context_length",
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
    "rope.scaling.type",
    *_ABSENT,
    *_NUMBERS,
)


def vocabulary_problem(header: GgufHeader) -> str:
    """Why llama.cpp would not survive this vocabulary; "" for one that it can use."""
    tokens = header.vocabulary
    if not tokens:
        return f"has no vocabulary ({VOCABULARY_KEY})"
    problem = tokenizer_problem(header.values)
    if problem:
        return problem
    # As llama.cpp reads them: up to a NUL, and an empty one by its number.
    named = {_until_nul(token) or b"[EMPTY_%d]" % index for index, token in enumerate(tokens)}
    if len(named) != len(tokens):
        return f"has {len(tokens) - len(named)} tokens a second time"
    return _missing_byte(named) if header.values.get(TOKENIZER_KEY) == "llama" else ""


def tokenizer_problem(values: Mapping[str, Value]) -> str:
    """Why the kind of tokenizer that the metadata names cannot be used; "" for one that can."""
    kind, splitter = values.get(TOKENIZER_KEY), values.get(SPLITTER_KEY)
    if kind not in _TOKENIZERS_WITH_MARKERS:
        return f"has a tokenizer of the kind {quoted(kind)}, which is not supported"
    if kind == "gpt2" and splitter not in _SPLITTERS:
        return f"splits text into words in the way {quoted(splitter)}, and not in Llama 3's ({SPLITTER_KEY})"
    return ""


def _missing_byte(named: set[bytes]) -> str:
    """SentencePiece spells what no token covers in bytes; llama.cpp ends the process over a byte that is not there."""
    missing = next((byte for byte in range(256) if not {b"<0x%02X>" % byte, bytes([byte])} & named), None)
    return "" if missing is None else f"has no token for the byte {missing}"


def _until_nul(token: bytes) -> bytes:
    return token.split(b"\0", 1)[0] if b"\0" in token else token


def wrong_value(header: GgufHeader) -> str:
    """The first of the hyperparameters, in words, that llama.cpp would assert against; "" when there is none."""
    for key in _SCALARS:
        if f"{ARCHITECTURE}.{key}" in header.arrays:
            return f"{ARCHITECTURE}.{key} is an array"
    for key in _wrong_keys(_Values(header)):
        shown = header.values.get(f"{ARCHITECTURE}.{key}")
        return f"{ARCHITECTURE}.{key} is {'missing' if shown is None else quoted(shown)}"
    return ""


class _Values:
    """The numbers below `llama.`: a value of another kind counts as -1, which is never right."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header

    def whole(self, key: str, default: int = 0) -> int:
        value = self._header.values.get(f"{ARCHITECTURE}.{key}", default)
        return value if isinstance(value, int) and not isinstance(value, bool) else -1

    def real(self, key: str, default: float) -> float:
        value = self._header.values.get(f"{ARCHITECTURE}.{key}", default)
        return value if isinstance(value, float) and math.isfinite(value) else -1.0

    def text(self, key: str, default: str) -> str:
        value = self._header.values.get(f"{ARCHITECTURE}.{key}", default)
        return value if isinstance(value, str) else ""


def _wrong_keys(values: _Values) -> Iterator[str]:
    for key in ("context_length", "embedding_length", "feed_forward_length", "attention.head_count"):
        if not 0 < values.whole(key) <= _MAX_NUMBER:
            yield key
    if not 0 < values.whole("block_count") <= _MAX_LAYERS:
        yield "block_count"
    yield from (key for key in _ABSENT if values.whole(key))
    yield from _wrong_head_keys(values)
    if values.real("attention.layer_norm_rms_epsilon", -1.0) < 0:
        yield "attention.layer_norm_rms_epsilon"
    yield from (key for key in _NUMBERS if values.real(key, 1.0) < 0)
    if values.text("rope.scaling.type", "none") not in _ROPE_SCALINGS:
        yield "rope.scaling.type"


def _wrong_head_keys(values: _Values) -> Iterator[str]:
    """Query heads come in equal groups, and a head's keys, values and rotation have one even width."""
    heads = values.whole("attention.head_count")
    groups = values.whole("attention.head_count_kv", heads)
    if groups < 1 or heads % groups:
        yield "attention.head_count_kv"
    width = values.whole("attention.key_length", values.whole("embedding_length") // max(heads, 1))
    if width < 1 or width % 2:
        yield "attention.key_length"
    if values.whole("attention.value_length", values.whole("embedding_length") // max(heads, 1)) != width:
        yield "attention.value_length"
    if values.whole("rope.dimension_count", width) != width:
        yield "rope.dimension_count"


def tensor_problem(header: GgufHeader) -> str:
    """Why llama.cpp would not survive a tensor's place or type; "" when it can use them all."""
    if header.tensors and header.alignment < _LEAST_ALIGNMENT:
        return f"general.alignment is {header.alignment}, and llama.cpp's buffers need {_LEAST_ALIGNMENT}"
    wrong = next((tensor for tensor in header.tensors if not _can_compute(tensor)), None)
    return f"tensor {wrong.name!r} cannot have the type {wrong.type_id}" if wrong else ""


def _can_compute(tensor: TensorInfo) -> bool:
    """Norms, biases and rotation factors, all of one row, are added and multiplied as F32; matrices may be smaller."""
    is_vector = math.prod(tensor.shape) == tensor.shape[0]
    return tensor.type_id == F32 if is_vector else tensor.type_id not in NOT_WEIGHTS
