"""llama.cpp on the converted file encodes 10,000 hard texts token for token as the tokenizers library does."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coalm_lite.converters.gguf import Quant, convert
from tests.converters.text_generator import texts
from tests.converters.tiny_checkpoint import SPECIALS, SPLIT, Recipe, tokenizer_json, write_checkpoint

llama_cpp = pytest.importorskip("llama_cpp")
tokenizers = pytest.importorskip("tokenizers")
NANO = Path(__file__).parents[2] / "nano" / "checkpoint"
TEXTS = 10_000

Encode = Callable[[str, bool], list[int]]


@pytest.fixture(scope="module", params=["trained here", "nano"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with a tokenizer of Llama 3's form."""
    if request.param == "nano":
        if not (NANO / "config.json").is_file():
            pytest.skip(f"{NANO} is not trained yet")
        return NANO
    tokenizer = tokenizer_json() | trained_parts()
    return write_checkpoint(tmp_path_factory.mktemp("parity") / "tiny", Recipe(tokenizer=tokenizer))


def trained_parts() -> dict[str, Any]:
    """`model` and `added_tokens` of a BPE of 2,000 tokens, special tokens last, trained on texts made here."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=True))
    letters = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(SPLIT), "isolated")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, letters])
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=2000 - len(SPECIALS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts(3000, seed=1), trainer)
    tokenizer.add_special_tokens(list(SPECIALS))
    parts = json.loads(tokenizer.to_str())
    return {key: parts[key] for key in ("model", "added_tokens")}


@pytest.fixture(scope="module")
def encode(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encode]:
    """llama.cpp's tokens of a text, with or without special tokens in it being recognised."""
    path = tmp_path_factory.mktemp("gguf") / "out.gguf"
    convert(folder, path, Quant.Q8_0)
    settings = llama_cpp.llama_model_default_params()
    settings.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), settings)
    assert model
    vocabulary = llama_cpp.llama_model_get_vocab(model)

    def tokens(text: str, special: bool) -> list[int]:
        raw = text.encode("utf-8")
        room = (ctypes.c_int32 * (len(raw) + 1))()
        count = llama_cpp.llama_tokenize(vocabulary, raw, len(raw), room, len(room), False, special)
        assert count >= 0
        return list(room[:count])

    yield tokens
    llama_cpp.llama_model_free(model)


@pytest.mark.parametrize("special", [True, False], ids=["special tokens", "plain text"])
def test_ten_thousand_texts_encode_token_for_token_alike(folder: Path, encode: Encode, special: bool) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = not special
    samples = texts(TEXTS, seed=0)
    assert len(set(samples)) > 0.9 * TEXTS
    expected = [encoding.ids for encoding in tokenizer.encode_batch(samples, add_special_tokens=False)]
    differing = [
        (text, ids, found)
        for text, ids in zip(samples, expected, strict=True)
        if (found := encode(text, special)) != ids
    ]
    assert not differing, f"{len(differing)} of {TEXTS} differ, such as {differing[:3]}"
    control = tokenizer.token_to_id("<|eot_id|>")
    assert any(control in ids for ids in expected) is special


def test_a_text_decodes_to_itself(folder: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    samples = texts(500, seed=2)
    encoded = tokenizer.encode_batch(samples, add_special_tokens=False)
    decoded = [tokenizer.decode(encoding.ids, skip_special_tokens=False) for encoding in encoded]
    assert decoded == samples
