"""What a Llama checkpoint's config.json says, checked: sizes, rope, and the tensors that must be there.

Covered: LlamaForCausalLM without biases, tied or untied, grouped queries, rope plain, `linear` or `llama3`. Anything
that llama.cpp's Llama graph would compute differently (another activation, other rope scalings, quantized weights)
is an error, since the file would load and answer wrongly. Source of names and defaults: transformers' LlamaConfig and
llama.cpp's conversion/llama.py.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coalm_lite.errors import ModelError
from coalm_lite.types import JsonObject, JsonValue

_LARGEST_INT = 2**31 - 1
_MOST_LAYERS = 4096  # far above any model; a damaged count must not fill the memory with tensor names
_HINT = "Only Llama checkpoints in Hugging Face layout can be converted; download the folder again if it should be one."


def parse_json(text: bytes | bytearray) -> JsonValue:
    """The value in a JSON text; ValueError for what is none, or has a key a second time: who is right then?"""
    value: JsonValue = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    return value


def _without_repeats(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    known = dict(pairs)
    if len(known) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {repeated!r:.80} stands there a second time")
    return known


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON object and the file it came from, so that every complaint names the file and the key."""

    path: Path
    data: JsonObject

    @classmethod
    def read(cls, path: Path) -> JsonFile:
        """The object in `path`; raises ModelError when it is missing, unreadable or no JSON object."""
        try:
            data = parse_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ModelError(f"{path}: file not found", _HINT) from error
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{path}: cannot be read as JSON: {error}", _HINT) from error
        if not isinstance(data, dict):
            raise ModelError(f"{path}: holds no JSON object", _HINT)
        return cls(path, data)

    def error(self, key: str, problem: str, hint: str = _HINT) -> ModelError:
        """The error that names this file, the key, its value and the problem."""
        return ModelError(f"{self.path}: {key} = {self.data.get(key)!r:.80}: {problem}", hint)

    def positive_int(self, key: str, default: int | None = None) -> int:
        """The whole number under `key`, or `default` when it is absent or null."""
        value = self.data.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST_INT:
            raise self.error(key, "must be a positive whole number")
        return value

    def positive_number(self, key: str, default: float | None = None) -> float:
        """The finite number above zero under `key`, or `default` when it is absent or null."""
        value = self.data.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.error(key, "must be a positive number")
        return float(value)

    def child(self, key: str) -> JsonFile:
        """The object under `key`, empty when absent or null."""
        value = self.data.get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.error(key, "must be an object")
        return JsonFile(self.path, value)


@dataclass(frozen=True, slots=True)
class LinearRope:
    """Positions divided by `factor`."""

    factor: float


@dataclass(frozen=True, slots=True)
class Llama3Rope:
    """Llama 3.1's scaling: long wavelengths divided by `factor`, short ones kept, a smooth step between."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context_tokens: int


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """The sizes of a Llama model."""

    layers: int
    context_tokens: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    rms_eps: float
    rope_theta: float
    rope: LinearRope | Llama3Rope | None
    tied: bool


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that the checkpoint holds: its name there, its name in GGUF, its shape (row, column).

    `heads` above 0: rows are per head and change from Hugging Face's order of rotary halves to llama.cpp's pairs.
    """

    source_name: str
    name: str
    shape: tuple[int, ...]
    heads: int = 0


def read_config(path: Path) -> LlamaConfig:
    """The checked contents of `path`, a config.json."""
    file = JsonFile.read(path)
    _refuse_other_models(file)
    hidden = file.positive_int("hidden_size")
    heads = file.positive_int("num_attention_heads")
    config = LlamaConfig(
        layers=file.positive_int("num_hidden_layers"),
        context_tokens=file.positive_int("max_position_embeddings"),
        hidden=hidden,
        feed_forward=file.positive_int("intermediate_size"),
        heads=heads,
        kv_heads=file.positive_int("num_key_value_heads", heads),
        head_dim=file.positive_int("head_dim", hidden // heads),
        vocab_size=file.positive_int("vocab_size"),
        rms_eps=file.positive_number("rms_norm_eps"),
        rope_theta=_rope_settings(file).positive_number("rope_theta", file.positive_number("rope_theta", 10000.0)),
        rope=_read_rope(file),
        tied=file.data.get("tie_word_embeddings") is True,
    )
    if config.layers > _MOST_LAYERS:
        raise file.error("num_hidden_layers", f"more than {_MOST_LAYERS} layers")
    if config.heads % config.kv_heads:
        raise file.error("num_key_value_heads", f"must divide num_attention_heads ({config.heads})")
    if config.head_dim % 2 or (file.data.get("head_dim") is None and hidden % heads):
        raise file.error("head_dim", f"hidden_size {hidden} and {heads} heads give no even head size")
    return config


def expected_tensors(config: LlamaConfig) -> dict[str, TensorSpec]:
    """Every tensor that may stand in the checkpoint, by its name there; `lm_head.weight` may be absent when tied."""
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    hidden, ffn, table = config.hidden, config.feed_forward, (config.vocab_size, config.hidden)
    specs = [
        TensorSpec("model.embed_tokens.weight", "token_embd.weight", table),
        TensorSpec("model.norm.weight", "output_norm.weight", (hidden,)),
        TensorSpec("lm_head.weight", "output.weight", table),
    ]
    for layer in range(config.layers):
        old, new = f"model.layers.{layer}.", f"blk.{layer}."
        specs += [
            TensorSpec(f"{old}input_layernorm.weight", f"{new}attn_norm.weight", (hidden,)),
            TensorSpec(f"{old}post_attention_layernorm.weight", f"{new}ffn_norm.weight", (hidden,)),
            TensorSpec(f"{old}self_attn.q_proj.weight", f"{new}attn_q.weight", (queries, hidden), config.heads),
            TensorSpec(f"{old}self_attn.k_proj.weight", f"{new}attn_k.weight", (keys, hidden), config.kv_heads),
            TensorSpec(f"{old}self_attn.v_proj.weight", f"{new}attn_v.weight", (keys, hidden)),
            TensorSpec(f"{old}self_attn.o_proj.weight", f"{new}attn_output.weight", (hidden, queries)),
            TensorSpec(f"{old}mlp.gate_proj.weight", f"{new}ffn_gate.weight", (ffn, hidden)),
            TensorSpec(f"{old}mlp.up_proj.weight", f"{new}ffn_up.weight", (ffn, hidden)),
            TensorSpec(f"{old}mlp.down_proj.weight", f"{new}ffn_down.weight", (hidden, ffn)),
        ]
    return {spec.source_name: spec for spec in specs}


def rope_factors(config: LlamaConfig, rope: Llama3Rope) -> NDArray[np.float32]:
    """The divisor of each rotary frequency (head_dim / 2,), as the tensor `rope_freqs.weight` holds it.

    Single precision in torch's own order of operations (it divides by multiplying with the reciprocal), so that the
    bytes are those of llama.cpp's converter; the power alone is taken in double precision and rounded, which is the
    same on every machine and within one unit in the last place of torch's.
    """
    one, single = np.float32(1), np.float32
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / single(config.head_dim)
    frequencies = one / np.power(config.rope_theta, exponents.astype(np.float64)).astype(np.float32)
    wavelengths = (one / frequencies) * single(2 * math.pi)
    old, low, high = rope.original_context_tokens, rope.low_freq_factor, rope.high_freq_factor
    smooth = ((one / wavelengths) * single(old) - single(low)) / single(high - low)
    between = one / ((one - smooth) / single(rope.factor) + smooth)
    long = np.where(wavelengths > old / low, single(rope.factor), between)
    return np.where(wavelengths < old / high, one, long).astype(np.float32)


def _refuse_other_models(file: JsonFile) -> None:
    if file.data.get("architectures") != ["LlamaForCausalLM"]:
        raise file.error("architectures", "only LlamaForCausalLM can be converted")
    if file.data.get("hidden_act", "silu") != "silu":
        raise file.error("hidden_act", "llama.cpp computes a Llama with silu only")
    if file.data.get("quantization_config"):
        raise file.error("quantization_config", "the weights are quantized already", "Take the 16-bit checkpoint.")


def _rope_settings(file: JsonFile) -> JsonFile:
    # transformers 5 writes rope_parameters, earlier ones rope_scaling
    return file.child("rope_parameters" if file.data.get("rope_parameters") else "rope_scaling")


def _read_rope(file: JsonFile) -> LinearRope | Llama3Rope | None:
    settings = _rope_settings(file)
    kind = settings.data.get("rope_type") or settings.data.get("type") or "default"
    if kind == "default":
        return None
    if kind == "linear":
        return LinearRope(settings.positive_number("factor"))
    if kind != "llama3":
        raise settings.error("rope_type", f"rope scaling {kind!r} cannot be converted; known: default, linear, llama3")
    original = "original_max_position_embeddings"
    rope = Llama3Rope(
        factor=settings.positive_number("factor"),
        low_freq_factor=settings.positive_number("low_freq_factor"),
        high_freq_factor=settings.positive_number("high_freq_factor"),
        original_context_tokens=(settings if original in settings.data else file).positive_int(original),
    )
    if rope.high_freq_factor <= rope.low_freq_factor:
        raise settings.error("high_freq_factor", f"must be above low_freq_factor ({rope.low_freq_factor})")
    return rope
