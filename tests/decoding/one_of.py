"""A grammar of a few texts, as the decoder sees grammars: small enough to know every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True)
class OneOf:
    """One of `texts`; `data` is what was read of them."""

    texts: tuple[str, ...]
    data: bytes = b""

    @property
    def start(self) -> OneOf:
        return OneOf(self.texts)

    @property
    def gbnf(self) -> str:
        quoted = (text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for text in self.texts)
        return "root ::= " + " | ".join(f'"{text}"' for text in quoted)

    @property
    def left(self) -> list[str]:
        """The rests of the texts that begin with what was read; nothing inside a character."""
        rests = [text.encode()[len(self.data) :] for text in self.texts if text.encode().startswith(self.data)]
        return [rest.decode(errors="ignore") for rest in rests if rest[:1] < b"\x80" or rest[:1] >= b"\xc0"]

    @property
    def may_end(self) -> bool:
        return self.data.decode(errors="ignore").encode() == self.data and self.data.decode() in self.texts

    def advance_bytes(self, data: bytes) -> OneOf | None:
        after = self.data + data
        return OneOf(self.texts, after) if any(text.encode().startswith(after) for text in self.texts) else None

    def forced(self) -> str:
        if not self.left:
            return ""
        first, last = min(self.left), max(self.left)  # what these two share, all share
        return first[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))]

    def next_characters(self) -> list[Sequence[tuple[int, int]]]:
        return [((ord(rest[0]), ord(rest[0])),) for rest in self.left if rest]

    @property
    def ending_bytes(self) -> int:
        return len(self.ending())

    def ending(self) -> bytes:
        rests = [text.encode()[len(self.data) :] for text in self.texts if text.encode().startswith(self.data)]
        return min(rests, key=lambda rest: (len(rest), rest))
