"""What the tokens of a vocabulary write, and which of them can go on a UTF-8 text. Pure, given each token's bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.runtime.utf8 import unfinished

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TokenTexts:
    """The texts of `size` tokens; `read_piece` gives a token's bytes, b"" for a special one, and is asked once each."""

    def __init__(self, size: int, read_piece: Callable[[int], bytes], is_end: Callable[[int], bool]) -> None:
        self._size = size
        self._read_piece = read_piece
        self._is_end = is_end
        self._pieces: dict[int, bytes] = {}

    def piece(self, token: int) -> bytes:
        """The bytes that `token` writes."""
        if token not in self._pieces:
            self._pieces[token] = self._read_piece(token)
        return self._pieces[token]

    def known(self, token: int) -> bytes | None:
        """The bytes of `token` if they were read before; any thread may ask."""
        return self._pieces.get(token)

    def may_follow(self, unfinished_bytes: bytes, token: int) -> bool:
        """Whether `token` is an end token, or goes on as UTF-8 from the first bytes of a character."""
        piece = self.piece(token)
        return unfinished(unfinished_bytes + piece) is not None if piece else self._is_end(token)

    @cached_property
    def first_tokens(self) -> NDArray[np.bool_]:
        """Which tokens may follow whole characters; 0.3 s for 128,256. Shape [vocabulary]."""
        return np.array([self.may_follow(b"", token) for token in range(self._size)])

    @cached_property
    def openers(self) -> NDArray[np.int32]:
        """A few tokens that stand for all: one of them passes a grammar wherever any text does.

        For each byte that a text can begin with, its single-byte token, or else all tokens that begin with it. The
        search ends once all 256 single bytes are found; in a byte-level vocabulary they come first.
        """
        single: dict[int, int] = {}
        longer: dict[int, list[int]] = {}
        for token in range(self._size):
            piece = self.piece(token)
            if len(piece) == 1:
                single.setdefault(piece[0], token)
            elif piece:
                longer.setdefault(piece[0], []).append(token)
            if len(single) == 256:
                break
        rest = [token for first, tokens in longer.items() if first not in single for token in tokens]
        return np.array([*single.values(), *rest], dtype=np.int32)
