"""What an answer consists of so far: tokens, where each ends in the text's bytes, and the text in whole characters."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence


class Written:
    """An answer's tokens and bytes; `token_bytes` gives what a token writes."""

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self.token_bytes = token_bytes
        self.tokens: list[int] = []
        self.ends: list[int] = []
        self.data = bytearray()
        self._shown = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """All that `new_text` gave."""
        return "".join(self._text)

    def fork(self) -> Written:
        """Another one with the same tokens, to try what may follow; it gives no text."""
        other = Written(self.token_bytes)
        other.tokens, other.ends, other.data = [*self.tokens], [*self.ends], bytearray(self.data)
        return other

    def append(self, token: int) -> None:
        """Add a token."""
        self.data += self.token_bytes(token)
        self.tokens.append(token)
        self.ends.append(len(self.data))

    def replace(self, kept: int, tokens: Sequence[int]) -> None:
        """Put `tokens` in the place of all behind the first `kept`; they write the same, and perhaps more behind it."""
        before = bytes(self.data)
        del self.tokens[kept:], self.ends[kept:]
        del self.data[self.ends[-1] if self.ends else 0 :]
        for token in tokens:
            self.append(token)
        if not self.data.startswith(before):
            raise AssertionError("other tokens write another text")

    def shorten(self, count: int) -> None:
        """Keep the first `count` tokens, whose text was not all given yet."""
        del self.tokens[count:], self.ends[count:]
        del self.data[self.ends[-1] if self.ends else 0 :]

    def new_text(self, final: bool = False) -> str:
        """The text since the last call, in whole characters; at the end what is no UTF-8 comes out as U+FFFD."""
        data = bytes(self.data[self._shown :])
        self._shown = max(self._shown, len(self.data))
        text = self._decoder.decode(data, final)
        self._text.append(text)
        return text


def ends_of(tokens: Sequence[int], token_bytes: Callable[[int], bytes]) -> list[int]:
    """Where each of `tokens` ends in their text's bytes."""
    ends: list[int] = []
    for token in tokens:
        ends.append((ends[-1] if ends else 0) + len(token_bytes(token)))
    return ends
