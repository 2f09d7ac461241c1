from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_types import BLOCKS, NOT_WEIGHTS
from coalm_lite.runtime.model_file import check_model_file
from tests.runtime.gguf_bytes import Tensor, Value, model_file

EMBEDDING, NORM = "token_embd.weight", "output_norm.weight"
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        check_model_file(path)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("nextn_predict_layers", 1, "is 1"),
        ("expert_count", 8, "is 8"),
        ("expert_used_count", 2, "is 2"),
        ("expert_used_count", [2], "is an array"),
        ("expert_group_count", 1, "is 1"),
        ("expert_group_used_count", 1, "is 1"),
        ("embedding_length", None, "is missing"),
        ("feed_forward_length", [64], "is an array"),
        ("attention.head_count", 0, "is 0"),
        ("attention.head_count", [4], "is an array"),
        ("attention.head_count", True, "is True"),
        ("attention.head_count_kv", 0, "is 0"),
        ("attention.head_count_kv", 3, "is 3"),
        ("attention.head_count_kv", [2], "is an array"),
        ("attention.key_length", 7, "is 7"),
        ("attention.value_length", 16, "is 16"),
        ("attention.layer_norm_rms_epsilon", None, "is missing"),
        ("attention.layer_norm_rms_epsilon", -1e-5, "is -9.99"),
        ("attention.layer_norm_rms_epsilon", math.nan, "is nan"),
        ("attention.layer_norm_rms_epsilon", 1, "is 1"),
        ("rope.dimension_count", 4, "is 4"),
        ("rope.freq_base", -1.0, "is -1.0"),
        ("rope.freq_base", math.inf, "is inf"),
        ("rope.scaling.factor", math.nan, "is nan"),
        ("context_length", 1 << 31, "is 2147483648"),
    ],
)
def test_a_number_that_llama_cpp_asserts_against_is_refused_by_name(
    tmp_path: Path, key: str, value: Value | None, words: str
) -> None:
    message = refusal(tmp_path / "model.gguf", model_file({f"llama.{key}": value}))
    assert f"llama.{key} {words}" in message
    assert message.endswith("which is not supported")


@pytest.mark.parametrize(
    "changes",
    [
        {"llama.attention.head_count_kv": None},
        {"llama.attention.key_length": 16, "llama.attention.value_length": 16, "llama.rope.dimension_count": 16},
        {"llama.rope.freq_base": 500_000.0, "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 8.0},
        {"llama.expert_count": 0, "llama.nextn_predict_layers": 0},
    ],
)
def test_what_real_llama_files_say_passes(tmp_path: Path, changes: dict[str, Value | None]) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file(changes))
    assert check_model_file(path).vocabulary == (b"a", b"b", b"c")


def test_a_sentencepiece_vocabulary_needs_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    whole: dict[str, Value | None] = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["<s>", *BYTE_TOKENS]}
    path.write_bytes(model_file(whole, [(EMBEDDING, (32, 3), 0, 0)]))
    assert check_model_file(path)
    lacking: dict[str, Value | None] = {**whole, "tokenizer.ggml.tokens": ["<s>", *BYTE_TOKENS[:65], *BYTE_TOKENS[66:]]}
    assert "has no token for the byte 65" in refusal(path, model_file(lacking))
    replaced: dict[str, Value | None] = {
        **lacking,
        "tokenizer.ggml.tokens": ["A", *BYTE_TOKENS[:65], *BYTE_TOKENS[66:]],
    }
    path.write_bytes(model_file(replaced))
    assert check_model_file(path)


@pytest.mark.parametrize("type_id", sorted(NOT_WEIGHTS))
def test_a_matrix_of_whole_numbers_or_f64_is_no_weight(tmp_path: Path, type_id: int) -> None:
    tensors: list[Tensor] = [(EMBEDDING, (16, 3), type_id, 0)]
    assert f"'{EMBEDDING}' cannot have the type {type_id}" in refusal(tmp_path / "m.gguf", model_file(tensors=tensors))


@pytest.mark.parametrize("shape", [(32,), (32, 1)])
def test_a_vector_is_f32_and_a_matrix_may_be_smaller(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "m.gguf"
    half: list[Tensor] = [(EMBEDDING, (32, 3), 1, 0), (NORM, shape, 1, 192)]
    assert f"'{NORM}' cannot have the type 1" in refusal(path, model_file(tensors=half))
    path.write_bytes(model_file(tensors=[half[0], (NORM, shape, 0, 192)]))
    assert check_model_file(path)


def test_every_type_is_a_weight_or_known_not_to_be() -> None:
    assert set(BLOCKS) > NOT_WEIGHTS
    assert len(BLOCKS.keys() - NOT_WEIGHTS) > 25


@pytest.mark.parametrize("alignment", [1, 8, 16])
def test_tensors_that_llama_cpps_buffers_cannot_hold_are_refused(tmp_path: Path, alignment: int) -> None:
    message = refusal(tmp_path / "m.gguf", model_file({"general.alignment": alignment}))
    assert f"general.alignment is {alignment}, and llama.cpp's buffers need 32" in message


@pytest.mark.skipif(sys.platform == "win32", reason="the benchmark forks")
def test_no_mutant_of_the_embedded_model_that_passes_ends_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/mutants.py", "--count", "60", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"loaded": ' in done.stdout
    assert '"bad": []' in done.stdout
    assert not list(tmp_path.iterdir())
