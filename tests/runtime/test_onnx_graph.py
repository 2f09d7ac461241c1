"""What is read of a graph's inputs and outputs, and which graphs are refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from coalm_lite.errors import ModelError
from coalm_lite.runtime.onnx_graph import CacheLayout, read_layout

INT, FLOAT, HALF = "tensor(int64)", "tensor(float)", "tensor(float16)"


@dataclass(frozen=True)
class Value:
    """An input or output as onnxruntime describes it."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


def graph(kind: str = FLOAT, layers: int = 2) -> tuple[dict[str, Value], dict[str, Value]]:
    """The inputs and outputs of a Llama as optimum exports it."""
    new, total = ("batch_size", "sequence_length"), ("batch_size", "past_sequence_length + sequence_length")
    inputs = [Value("input_ids", INT, new), Value("attention_mask", INT, total), Value("position_ids", INT, new)]
    outputs = [Value("logits", kind, (*new, 4096))]
    for layer in range(layers):
        for part in ("key", "value"):
            inputs.append(Value(f"past_key_values.{layer}.{part}", kind, ("batch_size", 2, "past", 64)))
            outputs.append(Value(f"present.{layer}.{part}", kind, ("batch_size", 2, total[1], 64)))
    return {value.name: value for value in inputs}, {value.name: value for value in outputs}


def layout(inputs: dict[str, Value], outputs: dict[str, Value]) -> CacheLayout:
    return read_layout(list(inputs.values()), list(outputs.values()))


@pytest.mark.parametrize(("kind", "dtype"), [(FLOAT, "float32"), (HALF, "float16")])
def test_the_layout_of_a_llama(kind: str, dtype: str) -> None:
    names = ("0.key", "0.value", "1.key", "1.value")
    expected = CacheLayout(
        past=tuple(f"past_key_values.{name}" for name in names),
        present=tuple(f"present.{name}" for name in names),
        heads=2,
        width=64,
        dtype=dtype,
        has_positions=True,
        vocabulary_size=4096,
    )
    assert layout(*graph(kind)) == expected


def test_layers_are_in_order_of_their_number_and_positions_may_be_absent() -> None:
    inputs, outputs = graph(layers=12)
    del inputs["position_ids"]
    shuffled = dict(sorted(inputs.items(), reverse=True))
    found = layout(shuffled, outputs)
    assert [name.split(".")[1] for name in found.past[::2]] == [str(layer) for layer in range(12)]
    assert not found.has_positions


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("input_ids", "no input input_ids"),
        ("attention_mask", "no input attention_mask"),
        ("past_key_values.1.value", "no input past_key_values.1.value"),
        ("logits", "no output logits"),
        ("present.1.key", "no output present.1.key"),
    ],
)
def test_a_missing_input_or_output_is_named(name: str, problem: str) -> None:
    inputs, outputs = graph()
    (inputs if name in inputs else outputs).pop(name)
    with pytest.raises(ModelError, match=problem) as raised:
        layout(inputs, outputs)
    assert "coalm-lite convert --to onnx" in raised.value.hint


def test_a_graph_without_a_cache_is_refused() -> None:
    inputs, outputs = graph(layers=0)
    with pytest.raises(ModelError, match="has no KV cache"):
        layout(inputs, outputs)
    inputs, outputs = graph(layers=3)
    for part in ("key", "value"):
        del inputs[f"past_key_values.1.{part}"]
    with pytest.raises(ModelError, match="missing or have gaps"):
        layout(inputs, outputs)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("input_ids", {"type": FLOAT}, "not two-dimensional int64"),
        ("position_ids", {"shape": ("batch_size",)}, "not two-dimensional int64"),
        ("past_key_values.0.key", {"type": "tensor(bfloat16)"}, "not \\[batch, heads, length, width\\]"),
        ("past_key_values.0.key", {"shape": ("b", "h", "n", 64)}, "not \\[batch, heads, length, width\\]"),
        ("past_key_values.0.key", {"shape": ("b", 2, 128, 64)}, "not \\[batch, heads, length, width\\]"),
        ("past_key_values.0.key", {"shape": (4, 2, "n", 64)}, "not \\[batch, heads, length, width\\]"),
        ("past_key_values.0.key", {"shape": ("b", 0, "n", 64)}, "not \\[batch, heads, length, width\\]"),
        ("past_key_values.0.key", {"shape": ("b", 2, "n")}, "not \\[batch, heads, length, width\\]"),
        ("past_key_values.0.key", {"shape": ("b", 4, "n", 64)}, "differ in shape or type"),
        ("past_key_values.0.key", {"type": HALF}, "differ in shape or type"),
        ("logits", {"shape": ("b", "n", "v")}, "not \\[batch, length, vocabulary\\]"),
        ("logits", {"shape": ("b", 4096)}, "not \\[batch, length, vocabulary\\]"),
        ("logits", {"type": INT}, "no output logits of floats"),
    ],
)
def test_a_wrong_type_or_shape_is_named(name: str, change: dict[str, object], problem: str) -> None:
    inputs, outputs = graph()
    side = inputs if name in inputs else outputs
    side[name] = replace(side[name], **change)
    with pytest.raises(ModelError, match=problem):
        layout(inputs, outputs)


def test_an_input_that_no_decoder_has_is_refused() -> None:
    inputs, outputs = graph()
    inputs["use_cache_branch"] = Value("use_cache_branch", "tensor(bool)", (1,))
    with pytest.raises(ModelError, match="has the input 'use_cache_branch'"):
        layout(inputs, outputs)
