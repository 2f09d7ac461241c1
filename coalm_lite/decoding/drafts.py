"""Guesses at an answer's next tokens: looked up in the conversation, or taken from a recorded answer.

A guess costs room in a batch and changes no answer: only what the model itself would have written is kept. A look-up
finds the place where the last tokens stood before; leading spaces do not count, for a value in quotes has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LONGEST_KEY = 4
LONGEST_DRAFT = 16


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may come next, and the kind of guess, by which its success is counted."""

    tokens: tuple[int, ...]
    kind: str


NOTHING = Draft((), "")


class PromptLookup:
    """Finds the last tokens of an answer in what came before: the latest place of the longest match."""

    def __init__(
        self, tokens: Sequence[int], token_bytes: Callable[[int], bytes], recorded: Sequence[int] = ()
    ) -> None:
        """`tokens`: the prompt; `recorded`: an answer of another model to the same prompt, looked at as well."""
        self._token_bytes = token_bytes
        self._before = (*recorded, *tokens)
        self._source: list[int] = []
        self._keys: list[bytes] = []
        self._places: dict[tuple[bytes, ...], int] = {}
        self._seen = 0

    def _add(self, token: int) -> None:
        """Take one more token; what ends with it can be found once another one follows."""
        self._note()
        self._source.append(token)
        self._keys.append(self._token_bytes(token).lstrip(b" "))

    def _note(self) -> None:
        end = len(self._keys)
        for length in range(1, min(_LONGEST_KEY, end) + 1):
            self._places[tuple(self._keys[end - length : end])] = end

    def draft(self, answer: Sequence[int]) -> Draft:
        """What followed the last tokens of `answer` when they stood somewhere before; its tokens are noted, too.

        Answers whose last tokens were replaced keep what was noted of them: a guess may be wrong.
        """
        if not self._source:  # read when it is first needed, for it takes milliseconds
            for token in self._before:
                self._add(token)
        for token in answer[self._seen :]:
            self._add(token)
        self._seen = max(self._seen, len(answer))
        end = len(self._keys)
        for length in range(min(_LONGEST_KEY, len(answer)), 0, -1):
            key = tuple(self._keys[end - length : end])
            place = self._places.get(key)
            if place is not None and any(key):
                return Draft(tuple(self._source[place : place + LONGEST_DRAFT]), f"lookup {length}")
        return NOTHING


class Recorded:
    """An answer that was recorded elsewhere, as long as this one agrees with it."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tuple(tokens)

    def draft(self, answer: Sequence[int]) -> Draft:
        """The next recorded tokens; none once the answers differ."""
        count = len(answer)
        if self._tokens[:count] != tuple(answer) or count >= len(self._tokens):
            return NOTHING
        return Draft(self._tokens[count : count + LONGEST_DRAFT], "recorded")
