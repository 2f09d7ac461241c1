"""An answer that meets its limit of tokens ends as its grammar wants it: the shortest ending is put in, in time.

A token is taken only if the shortest text that completes the answer behind it fits into the tokens that are left;
else that text comes in the token's place. So a model that writes white space without end, or a string that goes on and
on, still ends in a valid call. Where the shortest text of all does not fit, the answer is cut at the limit, as an
answer under no grammar is. Not covered: grammars without an automaton.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coalm_lite.decoding.forced import Forced, Tokenize
from coalm_lite.decoding.written import Written, ends_of

if TYPE_CHECKING:
    from coalm_lite.decoding.guide import TextState

_SPARE_TOKENS = 8  # with these no way to cut an ending takes more tokens than it has bytes


class Limit:
    """What becomes of `written`, an answer of at most `max_tokens`, when the limit comes near."""

    def __init__(self, written: Written, max_tokens: int, tokenize: Tokenize) -> None:
        self._written = written
        self._max_tokens = max_tokens
        self._tokenize = tokenize
        self._hopeless = False

    def ending_instead(self, state: TextState, token: int) -> Forced | None:
        """What completes the answer, if `token` would leave no room for that; None while it leaves enough.

        `state` is that of the answer, and allows the token.
        """
        written = self._written
        piece = written.token_bytes(token)
        after = None if self._hopeless else state.advance_bytes(piece)
        if after is None or len(written.tokens) + after.ending_bytes + _SPARE_TOKENS < self._max_tokens:
            return None
        data = bytes(written.data) + piece
        if any(self._ways([*written.ends, len(data)], data, after.ending())):
            return None
        return self.ending(state)

    def ending(self, state: TextState) -> Forced | None:
        """What completes the answer as it stands, in canonical tokens where these fit; None if nothing does."""
        written = self._written
        ways = [*self._ways(written.ends, bytes(written.data), state.ending())]
        self._hopeless = not ways
        return ways[-1] if ways else None

    def _ways(self, ends: Sequence[int], data: bytes, ending: bytes) -> Iterator[Forced]:
        """The ways to write `ending` behind `data`, whose tokens end at `ends`, that fit; the canonical one last."""
        if not ending:
            if len(ends) <= self._max_tokens:
                yield Forced(len(ends), ())
            return
        if ending[0] & 0xC0 != 0x80:  # else the data ends inside a character
            alone = self._cut(ending)
            if alone is not None and len(ends) + len(alone) <= self._max_tokens:
                yield Forced(len(ends), tuple(alone))
        whole = self._cut(data + ending)
        if whole is not None:
            places = ends_of(whole, self._written.token_bytes)
            common = max({0, *ends} & {0, *(place for place in places if place <= len(data))})
            kept, first = sum(end <= common for end in ends), sum(place <= common for place in places)
            if kept + len(whole) - first <= self._max_tokens:
                yield Forced(kept, tuple(whole[first:]))

    def _cut(self, data: bytes) -> list[int] | None:
        """The tokens of a text; None where they do not give it back."""
        tokens = self._tokenize(data.decode())
        return tokens if b"".join(map(self._written.token_bytes, tokens)) == data else None
