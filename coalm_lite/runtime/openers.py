"""A few tokens that stand for all: one of them passes a grammar wherever any text does."""

from __future__ import annotations

from collections.abc import Callable


def opening_tokens(piece: Callable[[int], bytes], vocabulary_size: int) -> list[int]:
    """For each byte that a text can begin with, its single-byte token, or else all tokens that begin with it.

    `piece` gives a token's bytes. The search ends once all 256 single bytes are found; in a byte-level vocabulary they
    come first.
    """
    single: dict[int, int] = {}
    longer: dict[int, list[int]] = {}
    for token in range(vocabulary_size):
        data = piece(token)
        if len(data) == 1:
            single.setdefault(data[0], token)
        elif data:
            longer.setdefault(data[0], []).append(token)
        if len(single) == 256:
            break
    return [*single.values(), *(token for first, tokens in longer.items() if first not in single for token in tokens)]
