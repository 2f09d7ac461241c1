"""A vocabulary without its weights does what the whole model's does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from coalm_lite.errors import DecodingError, ModelError
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.llamacpp import LlamaEngine, LlamaVocabulary
from coalm_lite.types import Segment
from tests.gguf_models import SPECIAL

PROMPT = (Segment(SPECIAL[0], marker=True), Segment("the hotel"), Segment(" in the <|eot_id|> north"))
GRAMMAR = 'root ::= "the " ("hotel" | "train")'


def test_tokens_and_texts_are_those_of_the_whole_model(engine: LlamaEngine, tiny_model: Path) -> None:
    with LlamaVocabulary(tiny_model) as vocabulary:
        assert vocabulary.size == engine.info.vocabulary_size
        assert vocabulary.tokenize(PROMPT) == engine.tokenize(PROMPT)
        for token in range(vocabulary.size):
            assert vocabulary.token_bytes(token) == engine.token_bytes(token)
            assert vocabulary.is_end(token) == engine.is_end(token)


def test_a_grammar_allows_what_it_allows_on_the_whole_model(engine: LlamaEngine, tiny_model: Path) -> None:
    logits = np.zeros(engine.info.vocabulary_size, dtype=np.float32)
    with LlamaVocabulary(tiny_model) as vocabulary:
        ours, theirs = vocabulary.constraint(GRAMMAR), engine.constraint(GRAMMAR)
        for token in engine.tokenize((Segment("the hotel"),)):
            np.testing.assert_array_equal(ours.mask(logits), theirs.mask(logits))
            ours.accept(token)
            theirs.accept(token)
        assert ours.finished()


def test_the_weights_need_not_be_there(tiny_model: Path, tmp_path: Path) -> None:
    """The header alone, its tensor list emptied: what a vocabulary-only file is."""
    import gguf

    reader = gguf.GGUFReader(tiny_model)
    path = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if field.name.startswith(("GGUF.", "general.architecture")):
            continue
        kind = field.types[0]
        writer.add_key_value(field.name, field.contents(), kind, field.types[1] if len(field.types) > 1 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    assert not read_header(path).tensors
    with LlamaVocabulary(path) as vocabulary, LlamaVocabulary(tiny_model) as whole:
        assert vocabulary.tokenize(PROMPT) == whole.tokenize(PROMPT)
        assert vocabulary.metadata["general.name"] == "tiny"


def test_a_closed_vocabulary_refuses_and_a_file_without_one_is_named(tiny_model: Path, tmp_path: Path) -> None:
    vocabulary = LlamaVocabulary(tiny_model)
    vocabulary.close()
    vocabulary.close()
    with pytest.raises(DecodingError, match="closed"):
        vocabulary.tokenize(PROMPT)
    text = tmp_path / "text.gguf"
    text.write_bytes(b"no model at all, only some words" + os.urandom(64))
    with pytest.raises(ModelError, match=r"text\.gguf"):
        LlamaVocabulary(text)
