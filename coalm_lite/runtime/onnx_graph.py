"""What a decoder graph takes and gives, read from its inputs and outputs: the names and shape of its KV cache.

Covered: graphs with `input_ids`, `attention_mask`, perhaps `position_ids`, and for each layer
`past_key_values.N.key|value` in and `present.N.key|value` out, as optimum exports a Llama. Not covered: merged
decoders (`use_cache_branch`), caches of fixed length, encoders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coalm_lite.errors import ModelError

TOKENS, MASK, POSITIONS, LOGITS = "input_ids", "attention_mask", "position_ids", "logits"
_PAST = re.compile(r"past_key_values\.(\d+)\.(key|value)")
_INTEGERS = "tensor(int64)"
_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16"}
_MOST_LAYERS = 4096
_HINT = "Convert the checkpoint again with `coalm-lite convert --to onnx`, which exports a decoder with its KV cache."


class GraphValue(Protocol):
    """An input or output as onnxruntime describes it; a side of the shape that is not fixed is a name or None."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def shape(self) -> Sequence[int | str | None]: ...


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """The KV cache of a graph: `past` and `present` by name, in one order; a part has the shape [1, heads, n, width].

    `dtype` is numpy's word for the parts' type.
    """

    past: tuple[str, ...]
    present: tuple[str, ...]
    heads: int
    width: int
    dtype: str
    has_positions: bool
    vocabulary_size: int


def read_layout(inputs: Sequence[GraphValue], outputs: Sequence[GraphValue]) -> CacheLayout:
    """The layout of a graph; ModelError, naming input or output, for one that is no decoder of this kind."""
    given = {value.name: value for value in inputs}
    made = {value.name: value for value in outputs}
    for name in (TOKENS, MASK):
        _check_integers(given, name)
    if POSITIONS in given:
        _check_integers(given, POSITIONS)
    past = _past_names(given)
    for name in given:
        if name not in (TOKENS, MASK, POSITIONS, *past):
            raise ModelError(f"the graph has the input {name!r:.80}, which is not one of a decoder", _HINT)
    shapes = {_cache_shape(given[name]) for name in past}
    if len(shapes) != 1:
        raise ModelError(f"the parts of the graph's KV cache differ in shape or type: {sorted(shapes)!r:.200}", _HINT)
    heads, width, dtype = shapes.pop()
    present = tuple(name.replace("past_key_values", "present") for name in past)
    for name in (LOGITS, *present):
        if name not in made or made[name].type not in _FLOATS:
            raise ModelError(f"the graph has no output {name} of floats", _HINT)
    return CacheLayout(past, present, heads, width, dtype, POSITIONS in given, _vocabulary_size(made[LOGITS]))


def _check_integers(given: Mapping[str, GraphValue], name: str) -> None:
    if name not in given:
        raise ModelError(f"the graph has no input {name}", _HINT)
    if given[name].type != _INTEGERS or len(given[name].shape) != 2:
        raise ModelError(f"the graph's input {name} is {_words(given[name])}, not two-dimensional int64", _HINT)


def _past_names(given: Mapping[str, GraphValue]) -> tuple[str, ...]:
    """The cache's inputs by layer, the key first; they are numbered from 0 without a gap."""
    layers = {int(match[1]) for name in given if (match := _PAST.fullmatch(name))}
    if not layers or len(layers) > _MOST_LAYERS or max(layers) >= len(layers):
        raise ModelError("the graph has no KV cache: its inputs past_key_values.N are missing or have gaps", _HINT)
    names = tuple(f"past_key_values.{layer}.{part}" for layer in sorted(layers) for part in ("key", "value"))
    for name in names:
        if name not in given:
            raise ModelError(f"the graph has no input {name}", _HINT)
    return names


def _cache_shape(value: GraphValue) -> tuple[int, int, str]:
    """Heads, width and type of a part; the batch and the length must be free or, for the batch, 1."""
    if len(value.shape) == 4 and value.type in _FLOATS:
        batch, heads, length, width = value.shape
        is_free = not isinstance(length, int) and (batch == 1 or not isinstance(batch, int))
        if is_free and isinstance(heads, int) and isinstance(width, int) and min(heads, width) > 0:
            return heads, width, _FLOATS[value.type]
    raise ModelError(f"the graph's input {value.name} is {_words(value)}, not [batch, heads, length, width]", _HINT)


def _vocabulary_size(logits: GraphValue) -> int:
    size = logits.shape[-1] if len(logits.shape) == 3 else None
    if not isinstance(size, int) or size < 1:
        raise ModelError(f"the graph's output {LOGITS} is {_words(logits)}, not [batch, length, vocabulary]", _HINT)
    return size


def _words(value: GraphValue) -> str:
    return f"{value.type} of shape {list(value.shape)!r:.120}"
