from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.errors import ModelError
from coalm_lite.runtime.model_file import check_model_file, trained_context_tokens
from tests.runtime.gguf_bytes import Value, model_file, string, u32

FIRST_PART = "model-00001-of-00002.gguf"
PART_NUMBER = string("split.no") + u32(2) + b"\1\0"
F16 = 1


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check_model_file(path)
    assert caught.value.hint
    return caught.value


def test_a_whole_model_passes_and_tells_its_context(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file())
    assert trained_context_tokens(check_model_file(path)) == 64


def test_a_wrong_path_is_told_apart_from_a_folder_and_from_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    assert "there is no model file" in refusal(tmp_path / "missing.gguf").message
    assert "there is no model file" in refusal(tmp_path / "nul\0.gguf").message
    assert "there is no model file" in refusal(tmp_path / "missing" / "model.gguf").message
    assert "is a folder" in refusal(tmp_path).message
    assert "is empty" in refusal(tmp_path / "empty.gguf").message


def test_a_text_file_named_gguf_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("A cheap hotel in the north.\n")
    assert "is not a GGUF file" in refusal(path).message


@pytest.mark.parametrize("missing_bytes", [1, 100, 384])
def test_a_file_shorter_than_its_header_says_is_cut_short(tmp_path: Path, missing_bytes: int) -> None:
    path, whole = tmp_path / "model.gguf", model_file()
    path.write_bytes(whole[:-missing_bytes])
    assert f"is cut short: its header tells of {len(whole)} bytes" in refusal(path).message
    assert "fetch it again" in refusal(path).hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.architecture": None}, "names no architecture"),
        ({"general.architecture": 7}, "names no architecture"),
        ({"general.architecture": "clip"}, "has the architecture 'clip'; only 'llama'"),
        ({"general.architecture": "llama\0x"}, r"has the architecture 'llama\x00x'"),
        ({"general.architecture": "\x1b[31m" + "x" * 999}, r"has the architecture '\x1b[31mxxx"),
        ({"llama.attention.causal": False}, "makes embeddings"),
        ({"llama.pooling_type": 1}, "makes embeddings"),
        ({"tokenizer.ggml.tokens": None}, "has no vocabulary"),
        ({"tokenizer.ggml.tokens": ["a", "b", "a"]}, "has 1 tokens a second time"),
        ({"tokenizer.ggml.tokens": ["a", "b", "a\0c"]}, "has 1 tokens a second time"),
        ({"tokenizer.ggml.tokens": ["a", "", "[EMPTY_1]"]}, "has 1 tokens a second time"),
        ({"tokenizer.ggml.pre": None}, "in the way None, and not in Llama 3's"),
        ({"tokenizer.ggml.pre": "default"}, "in the way 'default'"),
        ({"tokenizer.ggml.pre": "whitespace"}, "in the way 'whitespace'"),
        ({"tokenizer.ggml.model": "bert"}, "a tokenizer of the kind 'bert'"),
        ({"tokenizer.ggml.model": None}, "a tokenizer of the kind None"),
        ({"llama.context_length": None}, "llama.context_length is missing"),
        ({"llama.context_length": 0}, "llama.context_length is 0"),
        ({"llama.block_count": 0}, "llama.block_count is 0"),
        ({"llama.block_count": 513}, "llama.block_count is 513"),
        ({"llama.block_count": "1"}, "llama.block_count is '1'"),
        ({"llama.rope.scaling.type": "linaer"}, "llama.rope.scaling.type is 'linaer'"),
    ],
)
def test_what_llama_cpp_would_end_the_process_over_is_refused(
    tmp_path: Path, changes: dict[str, Value | None], words: str
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file(changes))
    assert words in refusal(path).message


@pytest.mark.parametrize("changes", [{"llama.rope.scaling.type": "yarn"}, {"llama.pooling_type": 0}])
def test_usual_metadata_passes(tmp_path: Path, changes: dict[str, Value | None]) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file(changes))
    assert check_model_file(path).tensors


def test_a_vocabulary_without_weights_cannot_chat(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(model_file(tensors=[]))
    assert "holds a vocabulary and no weights" in refusal(path).message


def test_a_split_model_needs_every_part_whole(tmp_path: Path) -> None:
    first, second = tmp_path / FIRST_PART, tmp_path / "model-00002-of-00002.gguf"
    first.write_bytes(model_file({"split.count": 2}))
    assert f"there is no model file {second}" in refusal(first).message
    second.write_bytes(model_file(more=[PART_NUMBER])[:-1])
    assert f"{second} is cut short" in refusal(first).message
    second.write_bytes(model_file(more=[PART_NUMBER]))
    assert check_model_file(first).tensors


@pytest.mark.parametrize("number", [None, 1], ids=["missing", "of another type"])
def test_a_part_whose_number_llama_cpp_would_assert_on_is_refused(tmp_path: Path, number: int | None) -> None:
    first, second = tmp_path / FIRST_PART, tmp_path / "model-00002-of-00002.gguf"
    first.write_bytes(model_file({"split.count": 2}))
    second.write_bytes(model_file({"split.no": number}))
    assert f"{second} does not say which part it is" in refusal(first).message


def test_a_part_with_a_tensor_that_cannot_be_computed_is_refused(tmp_path: Path) -> None:
    first, second = tmp_path / FIRST_PART, tmp_path / "model-00002-of-00002.gguf"
    first.write_bytes(model_file({"split.count": 2}))
    second.write_bytes(model_file(tensors=[("blk.0.attn_norm.weight", (32,), F16, 0)], more=[PART_NUMBER]))
    assert "'blk.0.attn_norm.weight' cannot have the type 1" in refusal(first).message


@pytest.mark.parametrize("name", ["model.gguf", "model-00002-of-00002.gguf", "model-00001-of-00003.gguf"])
def test_a_split_model_is_opened_by_its_first_part(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(model_file({"split.count": 2}))
    assert "-00001-of-00002.gguf" in refusal(tmp_path / name).hint
