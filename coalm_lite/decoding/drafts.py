"""Where guesses at an answer's next tokens come from: the conversation, earlier answers, or a recorded answer.

A guess costs room in a batch and changes no answer: only what the model itself would have written is kept. A look-up
finds the place where the last tokens stood before; leading spaces do not count, for a value in quotes has none. How
likely it is depends on the place: 92 % of words that were begun as in the prompt went on as there, and 5 % of what came
after a lone punctuation mark (1,540 free tokens of 100 BFCL gold calls).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from coalm_lite.decoding.trail import Trail

_LONGEST_KEY = 4
LONGEST_DRAFT = 16
_MOST_HABITS = 8192  # tokens of earlier answers
_BEGINNING = b"\x00beginning"  # in the place of a token's text


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may come next, and of each the kind of guess, by which its success is counted."""

    tokens: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()


NOTHING = Draft()


class _Index:
    """Texts of tokens, and where each of the last few tokens' keys was seen last."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.keys: list[bytes] = []
        self._places: dict[tuple[bytes, ...], int] = {}

    def add(self, token: int, key: bytes) -> None:
        """Take one more token; what ends with it can be found once another one follows."""
        self._note()
        self.tokens.append(token)
        self.keys.append(key)

    def _note(self) -> None:
        end = len(self.keys)
        for length in range(1, min(_LONGEST_KEY, end) + 1):
            self._places[tuple(self.keys[end - length : end])] = end

    def find(self, keys: Sequence[bytes]) -> tuple[int, int]:
        """Where the longest end of `keys` that was seen last was followed by a token, and its length; 0 for none."""
        for length in range(min(_LONGEST_KEY, len(keys)), 0, -1):
            key = tuple(keys[-length:])
            place = self._places.get(key)
            if place is not None and any(key):
                return place, length
        return 0, 0


class PromptLookup:
    """Finds the last tokens of an answer in what came before: the latest place of the longest match."""

    def __init__(
        self, tokens: Sequence[int], token_bytes: Callable[[int], bytes], recorded: Sequence[int] = ()
    ) -> None:
        """`tokens`: the prompt; `recorded`: an answer of another model to the same prompt, looked at as well."""
        self._token_bytes = token_bytes
        self._before = (*recorded, *tokens)
        self._index = _Index()
        self._seen = 0

    def _key(self, token: int) -> bytes:
        return self._token_bytes(token).lstrip(b" ")

    def note(self, answer: Sequence[int]) -> None:
        """Take the tokens of `answer` that are new. What was replaced in it stays noted: a guess may be wrong."""
        if not self._index.tokens:  # read when it is first needed, for it takes milliseconds
            for token in self._before:
                self._index.add(token, self._key(token))
        for token in answer[self._seen :]:
            self._index.add(token, self._key(token))
        self._seen = max(self._seen, len(answer))

    def draft(self, answer: Sequence[int]) -> Draft:
        """What followed the last tokens of `answer` when they stood somewhere before."""
        place, length = self._index.find([self._key(token) for token in answer[-_LONGEST_KEY:]])
        if not length:
            return NOTHING
        tokens = self._index.tokens[place : place + LONGEST_DRAFT]
        before = self._index.keys[place - 1 : place - 1 + len(tokens)]
        return Draft(tuple(tokens), tuple(self._kinds(tokens, before, length)))

    def _kinds(self, tokens: Sequence[int], before: Sequence[bytes], length: int) -> Iterator[str]:
        """How each token is guessed: inside a word, or by how many tokens before it agree, a word the last or not."""
        for count, (token, last) in enumerate(zip(tokens, before, strict=True)):
            in_word = last[-1:].isalnum()
            if in_word and self._token_bytes(token)[:1].isalnum():
                yield "inside a word"
            else:
                yield f"lookup {min(length + count, _LONGEST_KEY)} behind a {'word' if in_word else 'mark'}"


class Habits:
    """What an engine's earlier answers said at such places: at the beginning, or after the last few tokens."""

    def __init__(self) -> None:
        self.trail = Trail()
        self._index = _Index()

    def learn(self, answer: Sequence[int], token_bytes: Callable[[int], bytes]) -> None:
        """Note a finished answer."""
        self.trail.add(answer)
        if len(self._index.tokens) + len(answer) >= _MOST_HABITS:
            self._index = _Index()
        self._index.add(-1, _BEGINNING)
        for token in answer:
            self._index.add(token, token_bytes(token))

    def draft(self, answer: Sequence[int], token_bytes: Callable[[int], bytes]) -> Draft:
        """What came after the last tokens of `answer`, its beginning counting as one, in the latest such answer."""
        keys = [token_bytes(token) for token in answer[-_LONGEST_KEY:]]
        place, length = self._index.find(keys if len(answer) >= _LONGEST_KEY else [_BEGINNING, *keys])
        found = self._index.tokens[place : place + LONGEST_DRAFT]
        until = found.index(-1) if -1 in found else len(found)
        kind = "beginning" if length > len(answer) else f"habit {length}"  # all was as it is now, or the last few
        return Draft(tuple(found[:until]), (kind,) * until) if length else NOTHING


class Recorded:
    """An answer that was recorded elsewhere, as long as this one agrees with it."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tuple(tokens)

    def draft(self, answer: Sequence[int]) -> Draft:
        """The rest of the recorded tokens; none once the answers differ."""
        count = len(answer)
        if self._tokens[:count] != tuple(answer) or count >= len(self._tokens):
            return NOTHING
        rest = self._tokens[count:]
        return Draft(rest, ("recorded",) * len(rest))


_HABITS: WeakKeyDictionary[object, Habits] = WeakKeyDictionary()


def habits_of(engine: object) -> Habits:
    """What `engine` answered so far."""
    return _HABITS.setdefault(engine, Habits())
