"""Where two answers differ: both texts in pieces, each the same on both sides or on one side only.

Compared on token boundaries where both answers have them that fit their texts, else by words. The same words
tokenized otherwise count as the same; a token that ends within a character is taken together with the next. Where more
than `_MOST_EQUAL_PAIRS` pairs of equal pieces lie between the common beginning and the common end (a model that loops
writes such), all of the middle counts as differing: the time stays bounded whatever was written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from coalm_lite.evals.run import Step

_MOST_EQUAL_PAIRS = 15_000  # some 4 ms a comparison
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one side's text; `differs` where the other side has something else, or nothing, in its place."""

    text: str
    differs: bool


def differences(base: Step, other: Step) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both answers' texts in pieces: joined again they are the texts, and the pieces that are the same are equal."""
    left, right = token_texts(base), token_texts(other)
    if left is None or right is None:
        left, right = tuple(_WORD.findall(base.text)), tuple(_WORD.findall(other.text))
    stretches = tuple(_stretches(left, right))
    return (
        _pieces((left[begin:end], differs) for begin, end, _, _, differs in stretches),
        _pieces((right[begin:end], differs) for _, _, begin, end, differs in stretches),
    )


def token_texts(step: Step) -> tuple[str, ...] | None:
    """An answer's text cut where its tokens end, or None where no ends are known that fit the text."""
    data = step.text.encode("utf-8", "surrogatepass")
    if not step.ends or list(step.ends) != sorted(step.ends) or step.ends[0] < 0 or step.ends[-1] > len(data):
        return None
    cuts = sorted({0, *(end for end in step.ends if _between_characters(data, end)), len(data)})
    return tuple(data[begin:end].decode("utf-8", "surrogatepass") for begin, end in pairwise(cuts))


def _between_characters(data: bytes, at: int) -> bool:
    return at == len(data) or data[at] & 0xC0 != 0x80


def _stretches(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int, int, int, bool]]:
    """Left from, to, right from, to, and whether they differ, covering both sides in order."""
    head = _equal_beginning(left, right)
    tail = _equal_beginning(left[head:][::-1], right[head:][::-1])
    left_end, right_end = len(left) - tail, len(right) - tail
    yield 0, head, 0, head, False
    yield from _middle(left[:left_end], right[:right_end], head)
    yield left_end, len(left), right_end, len(right), False


def _middle(left: Sequence[str], right: Sequence[str], start: int) -> Iterator[tuple[int, int, int, int, bool]]:
    """As `_stretches`, of what comes from `start` on, where both sides begin and end with something else."""
    counts = Counter(left[start:]), Counter(right[start:])
    if sum(count * counts[1][piece] for piece, count in counts[0].items()) > _MOST_EQUAL_PAIRS:
        yield start, len(left), start, len(right), True
        return
    matcher = SequenceMatcher(None, left[start:], right[start:], autojunk=False)
    for tag, left_from, left_to, right_from, right_to in matcher.get_opcodes():
        yield start + left_from, start + left_to, start + right_from, start + right_to, tag != "equal"


def _equal_beginning(left: Sequence[str], right: Sequence[str]) -> int:
    pairs = zip(left, right, strict=False)
    return next((index for index, (one, two) in enumerate(pairs) if one != two), min(len(left), len(right)))


def _pieces(parts: Iterable[tuple[Sequence[str], bool]]) -> tuple[Piece, ...]:
    """The parts as pieces: empty ones left out, neighbours of one kind joined."""
    pieces: list[Piece] = []
    for words, differs in parts:
        text = "".join(words)
        if text and pieces and pieces[-1].differs == differs:
            pieces[-1] = Piece(pieces[-1].text + text, differs)
        elif text:
            pieces.append(Piece(text, differs))
    return tuple(pieces)
