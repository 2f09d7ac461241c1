"""A model's vocabulary, through llama.cpp: texts to tokens and back. Its user holds the engine's door."""

from __future__ import annotations

import ctypes
from itertools import groupby

from coalm_lite.errors import DecodingError, ModelError, UsageError
from coalm_lite.runtime.llamacpp.library import native
from coalm_lite.runtime.token_texts import TokenTexts
from coalm_lite.types import Prompt

_SPECIAL = native.LLAMA_TOKEN_ATTR_UNKNOWN | native.LLAMA_TOKEN_ATTR_CONTROL


class Vocabulary:
    """A model's tokens; `pointer` is llama.cpp's own, valid as long as its model is open."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        self.size: int = native.llama_vocab_n_tokens(pointer)
        self.texts = TokenTexts(self.size, self._read_piece, self.is_end)

    def tokenize_prompt(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens; neighbouring plain segments are read as one text, as in training."""
        tokens: list[int] = []
        for marker, run in groupby(prompt, key=lambda segment: segment.marker):
            texts = [segment.text for segment in run]
            for text in texts if marker else ["".join(texts)]:
                tokens += self.tokenize(text, marker)
        return tokens

    def tokenize(self, text: str, marker: bool) -> list[int]:
        """The tokens of one text; ModelError for a marker without a special token."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            bad = text[error.start]
            raise UsageError(f"the prompt holds {bad!r}, which is no character", "Write it as UTF-8 text.") from error
        room = (native.llama_token * (len(data) + 2))()  # a token has a byte or more
        count = native.llama_tokenize(self.pointer, data, len(data), room, len(room), False, marker)
        tokens: list[int] = room[: max(count, 0)]
        if marker and not any(self.is_special(token) for token in tokens):
            raise ModelError(
                f"the model's vocabulary has no special token {text!r}",
                "CoALM's prompts cannot be written for it; use a CoALM model or another one of the Llama 3 family.",
            )
        return tokens

    def _read_piece(self, token: int) -> bytes:
        size = native.llama_token_to_piece(self.pointer, self._checked(token), None, 0, 0, False)
        room = ctypes.create_string_buffer(max(-size, 1))
        native.llama_token_to_piece(self.pointer, token, room, len(room), 0, False)
        return room.raw[:-size]

    def is_end(self, token: int) -> bool:
        """Whether `token` is marked as an end of generation."""
        return bool(native.llama_vocab_is_eog(self.pointer, self._checked(token)))

    def is_special(self, token: int) -> bool:
        """Whether `token` is a marker and writes no text."""
        return bool(native.llama_vocab_get_attr(self.pointer, token) & _SPECIAL)

    def _checked(self, token: int) -> int:
        if not 0 <= token < self.size:
            raise DecodingError(f"token {token} is outside the vocabulary of {self.size} tokens")
        return token
