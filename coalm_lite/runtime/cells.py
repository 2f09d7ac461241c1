"""Which cells of a KV cache each sequence holds: how much room is left where sequences share their beginnings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count


class Cells:
    """The tokens of `sequences` sequences in a cache of `capacity` tokens; what was shared is counted once."""

    def __init__(self, sequences: int, capacity: int) -> None:
        self.sequences = sequences
        self.capacity = capacity
        self._tokens: list[list[int]] = [[] for _ in range(sequences)]
        self._cells: list[list[int]] = [[] for _ in range(sequences)]
        self._users: Counter[int] = Counter()
        self._next = count()

    @property
    def free(self) -> int:
        """How many more tokens fit."""
        return self.capacity - len(self._users)

    def tokens(self, sequence: int) -> list[int]:
        """The tokens of `sequence`; not to be changed."""
        return self._tokens[sequence]

    def append(self, sequence: int, tokens: Sequence[int]) -> None:
        """Hold `tokens` behind those of `sequence`, in cells of their own."""
        new = [next(self._next) for _ in tokens]
        self._tokens[sequence] += tokens
        self._cells[sequence] += new
        self._users.update(new)

    def cut(self, sequence: int, kept: int) -> None:
        """Keep the first `kept` tokens of `sequence`; a cell that nobody holds is free."""
        for cell in self._cells[sequence][kept:]:
            self._users[cell] -= 1
            if not self._users[cell]:
                del self._users[cell]
        del self._cells[sequence][kept:], self._tokens[sequence][kept:]

    def share(self, source: int, target: int, shared: int) -> None:
        """Make `target` the first `shared` tokens of `source`, in the same cells."""
        cells, tokens = self._cells[source][:shared], self._tokens[source][:shared]
        self._users.update(cells)
        self.cut(target, 0)
        self._cells[target], self._tokens[target] = cells, tokens
