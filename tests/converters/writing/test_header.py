"""The head of the file: keys, types and order as llama.cpp's converter writes them, provenance where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFValueType

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.errors import CoalmError, ModelError, UsageError
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import TEMPLATE

TEXT, UINT, FLOAT, FLAG = GGUFValueType.STRING, GGUFValueType.UINT32, GGUFValueType.FLOAT32, GGUFValueType.BOOL
KEYS = [
    ("general.architecture", TEXT, "llama"),
    ("general.type", TEXT, "model"),
    ("general.sampling.top_p", FLOAT, pytest.approx(0.9)),
    ("general.sampling.temp", FLOAT, pytest.approx(0.6)),
    ("general.name", TEXT, "Tiny"),
    ("general.size_label", TEXT, "101K"),
    ("llama.block_count", UINT, 2),
    ("llama.context_length", UINT, 256),
    ("llama.embedding_length", UINT, 64),
    ("llama.feed_forward_length", UINT, 96),
    ("llama.attention.head_count", UINT, 4),
    ("llama.attention.head_count_kv", UINT, 2),
    ("llama.rope.freq_base", FLOAT, 10_000.0),
    ("llama.attention.layer_norm_rms_epsilon", FLOAT, pytest.approx(1e-5)),
    ("llama.attention.key_length", UINT, 16),
    ("llama.attention.value_length", UINT, 16),
    ("general.file_type", UINT, 1),
    ("llama.vocab_size", UINT, 309),
    ("llama.rope.dimension_count", UINT, 16),
    ("general.quantization_version", UINT, 2),
    ("tokenizer.ggml.model", TEXT, "gpt2"),
    ("tokenizer.ggml.pre", TEXT, "llama-bpe"),
    ("tokenizer.ggml.tokens", TEXT, None),
    ("tokenizer.ggml.token_type", GGUFValueType.INT32, None),
    ("tokenizer.ggml.merges", TEXT, None),
    ("tokenizer.ggml.bos_token_id", UINT, 293),
    ("tokenizer.ggml.eos_token_id", UINT, 299),
    ("tokenizer.ggml.padding_token_id", UINT, 295),
    ("tokenizer.ggml.add_bos_token", FLAG, True),
    ("tokenizer.ggml.add_eos_token", FLAG, False),
    ("tokenizer.ggml.add_sep_token", FLAG, False),
    ("tokenizer.chat_template", TEXT, TEMPLATE),
]


def keys_of(path: Path) -> list[tuple[str, GGUFValueType, object]]:
    """Key, type (of the items, in a list) and value, in file order."""
    fields = [field for field in GGUFReader(path).fields.values() if not field.name.startswith("GGUF.")]
    return [(field.name, field.types[-1], field.contents()) for field in fields]


def values_of(path: Path) -> dict[str, object]:
    return {key: value for key, _, value in keys_of(path)}


def test_keys_types_values_and_order_are_those_of_llama_cpps_converter(checkpoint: Path, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    found = keys_of(tmp_path / "out.gguf")
    assert [(key, kind, None if isinstance(value, list) else value) for key, kind, value in found] == KEYS


def test_a_quantized_file_has_the_keys_that_llama_quantize_sets_last(checkpoint: Path, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "out.gguf", Quant.Q8_0, metadata={"coalm.source": "here"})
    names = [key for key, _, _ in keys_of(tmp_path / "out.gguf")]
    moved = ["general.quantization_version", "general.file_type"]
    assert names == [key for key, _, _ in KEYS if key not in moved] + ["coalm.source", *moved]
    assert values_of(tmp_path / "out.gguf")["general.file_type"] == 7


def test_metadata_is_added_replaced_and_removed(checkpoint: Path, tmp_path: Path) -> None:
    metadata = {"coalm.dialects": "cra,dst,hammer", "general.name": "coalm-nano", "general.size_label": ""}
    convert(checkpoint, tmp_path / "out.gguf", Quant.F16, metadata=metadata)
    values = values_of(tmp_path / "out.gguf")
    assert (values["coalm.dialects"], values["general.name"]) == ("cra,dst,hammer", "coalm-nano")
    assert "general.size_label" not in values


@pytest.mark.parametrize(
    "key", ["llama.block_count", "tokenizer.chat_template", "general.architecture", "general.file_type", "name"]
)
def test_metadata_cannot_change_what_describes_the_model(checkpoint: Path, tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"metadata key '{key}' cannot be set"):
        convert(checkpoint, tmp_path / "out.gguf", Quant.F16, metadata={key: "x"})


def test_metadata_cannot_replace_a_number_by_text(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"general.sampling.temp.* is no text"):
        convert(checkpoint, tmp_path / "out.gguf", Quant.F16, metadata={"general.sampling.temp": "hot"})


def test_the_model_card_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    card = "---\nlicense: cc-by-nc-4.0\ntags:\n- agents\nbase_model: meta-llama/Llama-3.1-8B-Instruct\n---\nText.\n"
    (checkpoint / "README.md").write_text(card, encoding="utf-8")
    convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    values = values_of(tmp_path / "out.gguf")
    assert (values["general.license"], values["general.tags"]) == ("cc-by-nc-4.0", ["agents"])
    assert values["general.base_model.0.organization"] == "Meta Llama"


def test_linear_rope_scaling_is_stored_as_keys(checkpoint: Path, tmp_path: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "config.json", lambda data: data.update(rope_scaling={"rope_type": "linear", "factor": 2.5}))
    report = convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    values = values_of(tmp_path / "out.gguf")
    assert (values["llama.rope.scaling.type"], values["llama.rope.scaling.factor"]) == ("linear", 2.5)
    assert "rope_freqs.weight" not in report.tensor_types


def test_a_repetition_penalty_is_kept(checkpoint: Path, tmp_path: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "generation_config.json", lambda data: data.update(repetition_penalty=1.25))
    convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    assert values_of(tmp_path / "out.gguf")["general.sampling.penalty_repeat"] == 1.25


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("generation_config.json", '{"temperature": "hot"}', "general.sampling.temp = 'hot' cannot be stored"),
        ("generation_config.json", '{"top_k": 1.5}', "general.sampling.top_k = 1.5 cannot be stored"),
        ("generation_config.json", "{", "generation_config.json: cannot be read as JSON"),
        ("README.md", "---\nlicense: [\n---\n", "README.md: the model card cannot be read"),
        ("README.md", "---\nlicense: [1, 2]\n---\n", "README.md: the model card cannot be read"),
        ("README.md", "---\nname: 7\n---\n", "general.name = 7 cannot be stored"),
        ("chat_template.jinja", "\udcff", "chat_template.jinja: cannot be read"),
        ("chat_template.json", '{"chat_template": "\\ud800"}', "tokenizer.chat_template = .* cannot be stored"),
    ],
)
def test_a_value_that_cannot_be_stored_is_named(
    checkpoint: Path, tmp_path: Path, edit_json: EditJson, name: str, content: str, said: str
) -> None:
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.pop("chat_template"))
    (checkpoint / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=said) as caught:
        convert(checkpoint, tmp_path / "out.gguf", Quant.F16)
    assert isinstance(caught.value, CoalmError)
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]
