"""Grammars over a vocabulary's tokens, on llama.cpp's grammar sampler."""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.llamacpp.library import LOG, native
from coalm_lite.runtime.llamacpp.vocabulary import Vocabulary
from coalm_lite.runtime.one_thread import OneThread
from coalm_lite.runtime.utf8 import unfinished

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data
_MANY = 4096  # tokens; asking about fewer one by one is cheaper than about the whole vocabulary once
_GRAMMAR_HINT = "It comes from the tools in use: find the one at fault by leaving them out in turn, and report it."


class LlamaConstraint:
    """A `Constraint` on llama.cpp's grammar sampler that refuses a little more than it does.

    Refused as well are special tokens other than end tokens, which llama.cpp matches by their names, as text that
    nobody gets to see, and bytes that are no UTF-8, some of which it takes for characters.
    """

    def __init__(self, gbnf: str, vocabulary: Vocabulary, door: OneThread) -> None:
        self._vocabulary = vocabulary
        self._door = door
        self._allowed: int | None = None  # a token known to pass here, so that `accept` need not ask again
        self._unfinished = b""  # the bytes of the character that the text ends within
        with door:
            self._sampler = _open_grammar(vocabulary.pointer, gbnf)
            self._free = weakref.finalize(self, native.llama_sampler_free, self._sampler)

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        with self._door:
            return self._allows(token)

    def _allows(self, token: int) -> bool:
        if not self._vocabulary.texts.may_follow(self._unfinished, token):
            return False
        passes = token == self._allowed or bool(self._passing(np.array([token], dtype=np.int32))[0])
        self._allowed = token if passes else self._allowed
        return passes

    def _passing(self, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of `tokens` the grammar lets pass."""
        if not self._free.alive:
            raise DecodingError("the constraint is closed")
        candidates = np.zeros(len(tokens), dtype=_CANDIDATE)
        candidates["id"] = tokens
        data = candidates.ctypes.data_as(native.llama_token_data_p)
        array = native.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
        native.llama_sampler_apply(self._sampler, ctypes.byref(array))
        refused: NDArray[np.bool_] = np.isneginf(candidates["logit"])
        return ~refused

    def mask(self, logits: Logits) -> Logits:
        """A new array with -inf for every refused token; 14 to 70 ms for a vocabulary of 128,256."""
        with self._door:
            passing = self._passing(np.arange(self._vocabulary.size, dtype=np.int32))
            if not self._unfinished and passing.sum() > _MANY:
                passing &= self._vocabulary.texts.first_tokens
            else:
                for token in np.flatnonzero(passing):
                    passing[token] = self._vocabulary.texts.may_follow(self._unfinished, int(token))
        return np.where(passing, logits, np.float32(-np.inf))

    def accept(self, token: int) -> None:
        """Move on by `token`; asks first, since llama.cpp ends the process over a token that it refuses."""
        with self._door:
            if not self._allows(token):
                raise DecodingError(f"the grammar does not allow token {token} here")
            native.llama_sampler_accept(self._sampler, token)
            self._unfinished = unfinished(self._unfinished + self._vocabulary.texts.piece(token)) or b""
            self._allowed = None

    def finished(self) -> bool:
        """Whether only an end token may follow: asked of the tokens that any further text could begin with."""
        with self._door:
            end = native.llama_vocab_eos(self._vocabulary.pointer)
            return end >= 0 and self._allows(end) and not self._passing(self._vocabulary.texts.openers).any()

    def close(self) -> None:
        """Free the grammar; a second call does nothing."""
        self._free()


def _open_grammar(vocabulary: int, gbnf: str) -> ctypes._Pointer[native.llama_sampler]:
    LOG.forget()
    if not gbnf.strip() or "\0" in gbnf:  # llama.cpp takes an empty grammar for no grammar
        raise DecodingError("the grammar is empty or holds a NUL character")
    sampler: ctypes._Pointer[native.llama_sampler] = native.llama_sampler_init_grammar(
        vocabulary, gbnf.encode(), b"root"
    )
    if not sampler:  # a null pointer, not None
        raise DecodingError(f"llama.cpp cannot compile the grammar{LOG.reason}", _GRAMMAR_HINT)
    return sampler
