"""Text up to the stop word that ends first, as it comes: what may be the beginning of one is held back."""

from __future__ import annotations

from collections.abc import Sequence


class StopWords:
    """One answer's text; `found` once a stop word stands in it."""

    def __init__(self, words: Sequence[str]) -> None:
        self.found = False
        self._words = words
        self._longest = max(map(len, words), default=0)
        self._given = 0

    def more(self, text: str, final: bool) -> str:
        """What may be shown of the whole `text` so far, beyond what was; all of it when it is `final`."""
        if self.found:
            return ""
        start = max(0, self._given - self._longest + 1)
        places = [(place + len(word), place) for word in self._words if (place := text.find(word, start)) >= 0]
        self.found = bool(places)
        # The first to end, whatever pieces the text came in: one that begins before it was not there when it ended.
        end = min(places)[1] if places else len(text) if final else len(text) - self._held_back(text)
        shown = text[self._given : end]
        self._given = max(self._given, end)
        return shown

    def _held_back(self, text: str) -> int:
        """How many of the last characters may become a stop word."""
        for length in range(min(self._longest - 1, len(text) - self._given), 0, -1):
            if any(word.startswith(text[-length:]) for word in self._words):
                return length
        return 0
