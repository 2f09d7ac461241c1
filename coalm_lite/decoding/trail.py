"""Quick guesses, for models whose step costs little more than looking for a guess: the last tokens, found as bytes.

No index is made and no grammar asked: the interpreter's byte search takes a microsecond for a thousand tokens. A guess
that the grammar would refuse does not come true, and that is all.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

_KEYS = (4, 3, 2, 1)  # how many tokens must agree, the most first
_LONGEST_DRAFT = 7
_MOST_TOKENS = 16384  # of earlier answers; then the older half goes
_SIZE = array("i").itemsize
BEGINNING = -1  # stands before the first token of each answer


def packed(tokens: Sequence[int]) -> bytes:
    """Tokens in a row, as many bytes each."""
    return array("i", tokens).tobytes()


class Trail:
    """Earlier answers, packed, each behind `BEGINNING`."""

    def __init__(self) -> None:
        self.data = b""

    def add(self, answer: Sequence[int]) -> None:
        """Take a finished answer."""
        self.data += packed([BEGINNING, *answer])
        if len(self.data) > _MOST_TOKENS * _SIZE:
            self.data = self.data[_MOST_TOKENS // 2 * _SIZE :]


class QuickLookup:
    """Guesses for one answer: what followed its last tokens where they stood before, in it, its prompt or others."""

    def __init__(self, prompt: Sequence[int], earlier: Trail) -> None:
        self._prompt = prompt
        self._packed_prompt = b""
        self._earlier = earlier

    def guess(self, answer: Sequence[int]) -> tuple[list[int], list[str]]:
        """Tokens that may come next, and of each the kind of guess: where it was found and how many before it agree."""
        self._packed_prompt = self._packed_prompt or packed(self._prompt)
        own = packed([BEGINNING, *answer])
        places = (("here", self._packed_prompt + own), ("earlier", self._earlier.data))
        for length in _KEYS:
            key = own[-length * _SIZE :]
            if len(key) < length * _SIZE:
                continue
            for name, data in places:
                found = _behind(data, key)
                if found:
                    return found, [f"{name} {min(length + place, _KEYS[0])}" for place in range(len(found))]
        return [], []


def _behind(data: bytes, key: bytes) -> list[int]:
    """What came after the latest place of `key` in `data`, within the same answer."""
    end = len(data) - _SIZE  # what stands last has nothing behind it
    while (place := data.rfind(key, 0, end)) >= 0:
        if place % _SIZE == 0:
            start = place + len(key)
            found = array("i", data[start : start + _LONGEST_DRAFT * _SIZE]).tolist()
            return found[: found.index(BEGINNING)] if BEGINNING in found else found
        end = place + len(key) - 1
    return []
