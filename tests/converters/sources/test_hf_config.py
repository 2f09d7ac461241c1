"""config.json: sizes and rope are read as transformers reads them, and what llama.cpp would get wrong is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coalm_lite.converters.sources.hf_config import (
    LinearRope,
    Llama3Rope,
    LlamaConfig,
    expected_tensors,
    read_config,
    rope_factors,
)
from coalm_lite.errors import ModelError
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import LLAMA3_ROPE, Recipe, tensor_shapes, write_checkpoint

LLAMA_31 = LlamaConfig(32, 131_072, 4096, 14_336, 32, 8, 128, 128_256, 1e-5, 500_000.0, None, tied=False)


def test_sizes_are_read_as_written(checkpoint: Path) -> None:
    config = read_config(checkpoint / "config.json")
    assert (config.layers, config.hidden, config.feed_forward, config.heads, config.kv_heads) == (2, 64, 96, 4, 2)
    assert (config.context_tokens, config.head_dim, config.rms_eps, config.tied) == (256, 16, 1e-5, False)
    assert config.rope == Llama3Rope(8.0, 1.0, 4.0, 64)


def test_absent_keys_have_the_defaults_of_transformers(checkpoint: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "config.json", lambda data: [data.pop(key) for key in OPTIONAL])
    config = read_config(checkpoint / "config.json")
    assert (config.head_dim, config.kv_heads, config.rope_theta, config.rope) == (16, 4, 10_000.0, None)
    assert not config.tied


OPTIONAL = ("head_dim", "num_key_value_heads", "rope_theta", "rope_scaling", "tie_word_embeddings", "hidden_act")


def test_rope_settings_of_transformers_5_are_read(checkpoint: Path, edit_json: EditJson) -> None:
    def modernise(data: dict[str, Any]) -> None:
        del data["rope_scaling"], data["rope_theta"]
        data["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 20_000.0}

    edit_json(checkpoint / "config.json", modernise)
    config = read_config(checkpoint / "config.json")
    assert (config.rope, config.rope_theta) == (LinearRope(2.0), 20_000.0)


@pytest.mark.parametrize("tied", [True, False])
def test_the_expected_tensors_are_those_that_transformers_saves(tmp_path: Path, tied: bool) -> None:
    folder = write_checkpoint(tmp_path / "tiny", Recipe(tied=tied))
    expected = expected_tensors(read_config(folder / "config.json"))
    sizes = {"hidden_size": 64, "intermediate_size": 96, "vocab_size": expected["lm_head.weight"].shape[0]}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 2}
    saved = tensor_shapes({**sizes, **heads, "tie_word_embeddings": False})
    assert {name: spec.shape for name, spec in expected.items()} == saved
    assert [spec.heads for name, spec in sorted(expected.items()) if "q_proj" in name or "k_proj" in name] == [2, 4] * 2


def test_llama_31_rope_factors_go_from_one_to_eight() -> None:
    factors = rope_factors(LLAMA_31, Llama3Rope(8.0, 1.0, 4.0, 8192))
    assert factors.shape == (64,)
    assert (factors[:29] == 1).all()
    assert (factors[35:] == 8).all()
    assert (np.diff(factors) >= 0).all()
    # from the formula of arXiv 2407.21783's reference code in double precision
    wavelength = 2 * np.pi * 500_000.0 ** (2 * 32 / 128)
    smooth = (8192 / wavelength - 1) / 3
    assert factors[32] == pytest.approx(1 / ((1 - smooth) / 8 + smooth), rel=1e-6)


def put(**values: object) -> Callable[[dict[str, object]], None]:
    return lambda data: data.update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(architectures=["MistralForCausalLM"]), r"architectures = \['Mistral.*only LlamaForCausalLM"),
        (put(architectures=None), "architectures = None"),
        (put(hidden_act="gelu"), "hidden_act = 'gelu'"),
        (put(quantization_config={"quant_method": "gptq"}), "the weights are quantized already"),
        (put(hidden_size=0), "hidden_size = 0: must be a positive whole number"),
        (put(hidden_size=64.0), "hidden_size = 64.0"),
        (put(hidden_size=True), "hidden_size = True"),
        (put(num_hidden_layers=2**40), "num_hidden_layers = 1099511627776"),
        (put(num_hidden_layers=10**6), "num_hidden_layers = 1000000: more than 4096 layers"),
        (put(vocab_size=None), "vocab_size = None"),
        (put(rms_norm_eps="1e-5"), "rms_norm_eps = '1e-5': must be a positive number"),
        (put(rms_norm_eps=float("nan")), "rms_norm_eps = nan"),
        (put(num_key_value_heads=3), r"num_key_value_heads = 3: must divide num_attention_heads \(4\)"),
        (put(head_dim=15), "head_dim = 15"),
        (put(head_dim=None, hidden_size=65), "hidden_size 65 and 4 heads"),
        (put(rope_scaling={"rope_type": "yarn", "factor": 4.0}), "rope scaling 'yarn' cannot be converted"),
        (put(rope_scaling={"type": "dynamic", "factor": 4.0}), "rope scaling 'dynamic'"),
        (put(rope_scaling=[8.0]), "rope_scaling = .*must be an object"),
        (put(rope_scaling={**LLAMA3_ROPE, "factor": -1}), "factor = -1"),
        (put(rope_scaling={**LLAMA3_ROPE, "high_freq_factor": 1.0}), r"must be above low_freq_factor \(1.0\)"),
    ],
)
def test_a_config_that_cannot_be_converted_is_refused(
    checkpoint: Path, edit_json: EditJson, change: Callable[[object], None], said: str
) -> None:
    edit_json(checkpoint / "config.json", change)
    with pytest.raises(ModelError, match=said) as caught:
        read_config(checkpoint / "config.json")
    assert "config.json" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", "[" * 100_000])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"config\.json: (cannot be read as JSON|holds no JSON object)"):
        read_config(tmp_path / "config.json")
