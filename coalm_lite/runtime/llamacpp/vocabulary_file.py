"""A vocabulary-only GGUF, or any model's vocabulary without its weights: tokens and grammars for other engines."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path

from coalm_lite.runtime.llamacpp.constraint import LlamaConstraint
from coalm_lite.runtime.llamacpp.library import native, start_llama, take_log
from coalm_lite.runtime.llamacpp.loading import open_model
from coalm_lite.runtime.llamacpp.vocabulary import Vocabulary
from coalm_lite.runtime.model_file import check_vocabulary_file
from coalm_lite.runtime.one_thread import ClosedAtExit, OneThread
from coalm_lite.types import Prompt


class LlamaVocabulary(ClosedAtExit):
    """What another engine needs of llama.cpp: texts to tokens and back, and grammars. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """Load the vocabulary in `path`; ModelError for a file that has none that llama.cpp can use."""
        header = check_vocabulary_file(path)
        start_llama()
        take_log()
        model = open_model(path, 0, vocabulary_only=True)
        self._free = weakref.finalize(self, native.llama_model_free, model)
        self._vocabulary = Vocabulary(native.llama_model_get_vocab(model))
        self._door = OneThread()
        self.metadata: Mapping[str, str] = header.texts

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self._vocabulary.size

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens; only marker segments become special tokens, and nothing is added."""
        with self._door:
            return self._vocabulary.tokenize_prompt(prompt)

    def tokenize_beside(self, prompt: Prompt) -> list[int]:
        """As `tokenize`, while another thread is inside; nobody may close it meanwhile."""
        return self._vocabulary.tokenize_prompt(prompt)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of `token`, b"" for a special one."""
        known = self._vocabulary.texts.known(token)  # asked often, and in no need of the door
        if known is not None:
            return known
        with self._door:
            return self._vocabulary.texts.piece(token)

    def is_end(self, token: int) -> bool:
        """Whether the vocabulary marks `token` as an end of generation."""
        with self._door:
            return self._vocabulary.is_end(token)

    def constraint(self, gbnf: str) -> LlamaConstraint:
        """A fresh constraint for `gbnf`, valid until `close`; DecodingError when llama.cpp cannot compile it."""
        return LlamaConstraint(gbnf, self._vocabulary, self._door)

    def close(self) -> None:
        """Free it; a second call does nothing, one while another thread is inside raises DecodingError."""
        if not self._door.closed:
            with self._door:
                self._door.closed = True
                self._free()
