"""tokenizer.json: what llama.cpp's llama-bpe encodes alike is read, everything else refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType

from coalm_lite.converters.sources.hf_config import read_config
from coalm_lite.converters.sources.llama_tokenizer import LLAMA3_SPLIT, Vocabulary, read_vocabulary
from coalm_lite.errors import ModelError
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import SPECIALS, SPLIT, TEMPLATE, added_token, tokenizer_json, write_json

BASE_SIZE = len(tokenizer_json()["model"]["vocab"])
BOS, EOT = BASE_SIZE, BASE_SIZE + SPECIALS.index("<|eot_id|>")


def read(folder: Path) -> Vocabulary:
    return read_vocabulary(folder, read_config(folder / "config.json").vocab_size)


def test_the_split_expression_is_llama_3s() -> None:
    assert LLAMA3_SPLIT == SPLIT


def test_tokens_stand_at_their_ids_with_their_types(checkpoint: Path) -> None:
    vocabulary = read(checkpoint)
    assert len(vocabulary.tokens) == len(vocabulary.types) == BASE_SIZE + len(SPECIALS) + 8
    assert vocabulary.tokens[BOS : BOS + len(SPECIALS)] == SPECIALS
    assert set(vocabulary.types[:BASE_SIZE]) == {TokenType.NORMAL}
    assert set(vocabulary.types[BOS : BOS + len(SPECIALS)]) == {TokenType.CONTROL}
    assert vocabulary.tokens[-1] == f"[PAD{len(vocabulary.tokens) - 1}]"
    assert set(vocabulary.types[-8:]) == {TokenType.UNUSED}
    assert vocabulary.merges[:2] == ("Ġ h", "Ġh o")


def test_special_tokens_come_from_the_tokenizer_config_and_then_from_the_config(
    checkpoint: Path, edit_json: EditJson
) -> None:
    assert read(checkpoint).special_ids == {"bos": BOS, "eos": EOT, "pad": BASE_SIZE + 2}
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.pop("eos_token"))
    edit_json(checkpoint / "config.json", lambda data: data.update(eos_token_id=7, unk_token_id=3, pad_token_id=9))
    assert read(checkpoint).special_ids == {"bos": BOS, "pad": BASE_SIZE + 2, "eos": 7, "unk": 3}
    edit_json(checkpoint / "config.json", lambda data: data.update(eos_token_id=[7, 8]))
    assert "eos" not in read(checkpoint).special_ids


def test_a_special_token_written_as_an_object_is_found(checkpoint: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.update(bos_token={"content": SPECIALS[1]}))
    assert read(checkpoint).special_ids["bos"] == BOS + 1


def test_the_post_processor_decides_what_is_added(checkpoint: Path, edit_json: EditJson) -> None:
    assert read(checkpoint).add_special == {"bos": True, "eos": False, "sep": False}

    def end_with_eos(data: dict[str, Any]) -> None:
        template = data["post_processor"]["processors"][1]
        template["single"].append({"SpecialToken": {"id": "<|eot_id|>", "type_id": 0}})
        del template["pair"]

    edit_json(checkpoint / "tokenizer.json", end_with_eos)
    assert read(checkpoint).add_special == {"bos": True, "eos": True}
    edit_json(checkpoint / "tokenizer.json", lambda data: data.update(post_processor=None))
    assert read(checkpoint).add_special == {}
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.update(add_bos_token=True))
    assert read(checkpoint).add_special == {"bos": True}


def test_a_template_that_ends_with_another_token_makes_it_eos_and_the_named_one_eot(
    checkpoint: Path, edit_json: EditJson
) -> None:
    last = {"SpecialToken": {"id": "<|end_of_text|>", "type_id": 0}}
    edit_json(
        checkpoint / "tokenizer.json", lambda data: data["post_processor"]["processors"][1]["single"].append(last)
    )
    ids = read(checkpoint).special_ids
    assert (ids["eos"], ids["eot"]) == (BOS + 1, EOT)


def test_added_tokens_that_are_not_special_are_user_defined(checkpoint: Path, edit_json: EditJson) -> None:
    first = BASE_SIZE + len(SPECIALS)
    plain = [added_token(first, "[TOOL]", special=False), added_token(first + 1, "<|looks|>", special=False)]
    edit_json(checkpoint / "tokenizer.json", lambda data: data["added_tokens"].extend(plain))
    assert read(checkpoint).types[first : first + 2] == (TokenType.USER_DEFINED, TokenType.CONTROL)


def test_merges_may_be_written_as_texts(checkpoint: Path, edit_json: EditJson) -> None:
    before = read(checkpoint).merges
    edit_json(
        checkpoint / "tokenizer.json",
        lambda data: data["model"].update(merges=[" ".join(pair) for pair in data["model"]["merges"]]),
    )
    assert read(checkpoint).merges == before


def test_the_chat_template_is_found_in_each_of_its_places(checkpoint: Path, edit_json: EditJson) -> None:
    assert read(checkpoint).chat_template == TEMPLATE
    named = [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.update(chat_template=named))
    assert read(checkpoint).chat_template == named
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.pop("chat_template"))
    assert read(checkpoint).chat_template is None
    write_json(checkpoint / "chat_template.json", {"chat_template": "C"})
    assert read(checkpoint).chat_template == "C"
    (checkpoint / "chat_template.jinja").write_text("D", encoding="utf-8")
    assert read(checkpoint).chat_template == "D"


def model(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["model"].update(values)


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["model"]["vocab"][new] = data["model"]["vocab"].pop(old)

    return change


def step(index: int, **values: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["pre_tokenizer"]["pretokenizers"][index].update(values)


def processor(kind: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(post_processor={"type": kind})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (model(type="Unigram"), "model.type = 'Unigram', .* not Llama 3's BPE"),
        (model(ignore_merges=False), "ignore_merges = False"),
        (model(byte_fallback=True), "model.byte_fallback = True has no counterpart"),
        (model(dropout=0.1), "model.dropout = 0.1"),
        (model(vocab={}), "model.vocab is empty"),
        (model(vocab=["a"]), "vocab = .*must be an object"),
        (model(merges=[]), "model.merges is no list of pairs"),
        (model(merges=[["a", "b"], ["c"]]), "model.merges is no list of pairs"),
        (model(merges=["a b c"]), "model.merges is no list of pairs"),
        (lambda data: data["model"]["vocab"].update(a="b"), "token 'a' has id 'b', but config.json's vocab_size"),
        (lambda data: data["model"]["vocab"].update(a=10**6), "token 'a' has id 1000000, but config.json's vocab_size"),
        (rename("a", f"[PAD{BASE_SIZE + 15}]"), r"token '\[PAD\d+\]' has the ids 97 and"),
        (lambda data: data["model"]["vocab"].update(a=5), "tokens 'ą' and 'a' share id 5"),
        (lambda data: data.update(model=None), "model.type = None"),
        (lambda data: data.update(normalizer={"type": "NFC"}), "normalizer = .*llama.cpp would not apply it"),
        (lambda data: data.update(pre_tokenizer=None), "must be Split, then ByteLevel"),
        (step(0, pattern={"Regex": r"\w+"}), "does not split as Llama 3's does"),
        (step(0, behavior="Removed"), "does not split as Llama 3's does"),
        (step(1, use_regex=True), "ByteLevel must neither add a space nor split"),
        (step(1, add_prefix_space=True), "ByteLevel must neither add a space nor split"),
        (processor("RobertaProcessing"), "only ByteLevel and TemplateProcessing"),
        (lambda data: data["added_tokens"][3].update(id=5), "has id 5, the tokenizers library would give it"),
        (
            lambda data: data["added_tokens"][3].update(lstrip=True),
            r"'<\|start_header_id\|>': lstrip has no counterpart",
        ),
        (lambda data: data["added_tokens"][3].pop("content"), "has no text under content"),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_encode_otherwise_is_refused(
    checkpoint: Path, edit_json: EditJson, change: Callable[[object], None], said: str
) -> None:
    edit_json(checkpoint / "tokenizer.json", change)
    with pytest.raises(ModelError, match=said) as caught:
        read(checkpoint)
    assert "tokenizer.json" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: file not found"):
        read(checkpoint)


def test_settings_that_cannot_be_kept_are_refused(checkpoint: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "config.json", lambda data: data.update(mask_token_id=10**6))
    with pytest.raises(ModelError, match="mask_token_id 1000000 lies outside"):
        read(checkpoint)
    edit_json(checkpoint / "config.json", lambda data: data.update(mask_token_id=5))
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.update(chat_template=7))
    with pytest.raises(ModelError, match="chat_template = 7"):
        read(checkpoint)
    edit_json(checkpoint / "tokenizer_config.json", lambda data: data.update(add_prefix_space=True))
    with pytest.raises(ModelError, match="add_prefix_space = True"):
        read(checkpoint)
