"""Forced text as tokens: those that the whole text has in training, healed where they meet what was sampled.

A text's canonical tokens are the tokenizer's for all of it. Three things can spoil them when a forced text enters:
- What was sampled before may end in the middle of a canonical token (`nor` before the forced `th`). Then its last
  tokens are replaced, back to the last place where both ways to cut the text agree; the text stays the same.
- The forced text's last tokens may grow together with what comes next (`(` with a name behind it). Those that may are
  not entered: they are sampled, under the grammar, and `tail` has them as a guess that costs no step of its own.
- Nothing follows where the grammar ends: then all tokens are certain.

Which tokens may still grow is found by trying: the tokenizer reads the text with characters behind it that the grammar
allows. A token that only longer texts would join is not found so; the last token always stays in the tail, therefore.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from coalm_lite.decoding.written import Written, ends_of
from coalm_lite.runtime.base import common_prefix_length

if TYPE_CHECKING:
    from coalm_lite.decoding.guide import TextState

Tokenize = Callable[[str], list[int]]
_WINDOW_BYTES = 24
_FEW = 12
_MOST_JOINTS = 4096
_MOST_TEXTS = 2048
_SHORT_TEXT = 512  # characters: longer ones hardly come again
_TYPICAL = "aeZ01 \n\"'(,.:/-_#é中"


@dataclass(frozen=True, slots=True)
class Forced:
    """Keep `kept` of the answer's tokens, put `tokens` behind them; `tail` comes next unless it grows."""

    kept: int
    tokens: tuple[int, ...]
    tail: tuple[int, ...] = ()


class Joints:
    """Texts' tokens, and how texts grow together with what may follow them; remembered, since calls begin alike."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Hashable], tuple[int, int]] = {}
        self._tokens: dict[str, list[int]] = {}

    def tokens(self, text: str, tokenize: Tokenize) -> Sequence[int]:
        """The text's; not to be changed."""
        if len(text) > _SHORT_TEXT:
            return tokenize(text)
        if text not in self._tokens:
            if len(self._tokens) >= _MOST_TEXTS:
                self._tokens.clear()
            self._tokens[text] = tokenize(text)
        return self._tokens[text]

    def agreeing(self, window: str, alone: Sequence[int], after: TextState, tokenize: Tokenize) -> tuple[int, int]:
        """How many of the window's tokens stay whatever may follow, and how many stay for some of it."""
        choices = [*after.next_characters()]
        key = window, (after.may_end, *map(tuple, choices))
        if key not in self._known:
            if len(self._known) >= _MOST_JOINTS:
                self._known.clear()
            same = [len(alone)] if after.may_end else []
            same += [common_prefix_length(alone, tokenize(window + probe)) for probe in _probes(choices)]
            self._known[key] = min([len(alone) - 1, *same]), max(same, default=0)
        return self._known[key]


def forced_tokens(
    written: Written, state: TextState, tokenize: Tokenize, joints: Joints | None = None
) -> Forced | None:
    """How the text that `state` forces behind `written` enters; None if none is forced.

    `joints` are those of the same tokenizer. The tokens of what was sampled stay where they agree with canonical ones;
    free text keeps its own.
    """
    text = state.forced()
    after = state.advance_bytes(text.encode()) if text else None
    if after is None:
        return None
    begun = len(written.data)
    whole = written.data.decode() + text
    joints = joints or Joints()
    canonical = joints.tokens(whole, tokenize)
    ends = ends_of(canonical, written.token_bytes)
    if not ends or ends[-1] != len(whole.encode()):
        return None  # a tokenizer that does not give back what it was given
    certain, tail = _certain(whole, canonical, ends, after, tokenize, joints)
    return _healed(written, begun, canonical, ends, certain, tail)


def _healed(
    written: Written, begun: int, canonical: Sequence[int], ends: Sequence[int], certain: int, tail: int
) -> Forced | None:
    """The first `certain` canonical tokens behind the last place up to `begun` where both ways to cut agree."""
    common = max({0, *written.ends} & {0, *(end for end in ends if end <= begun)})
    kept = sum(end <= common for end in written.ends)
    first = sum(end <= common for end in ends)
    if certain <= first or ends[certain - 1] <= begun:  # nothing new is certain
        if common < begun:
            return None
        return Forced(len(written.tokens), (), tuple(canonical[first : certain + tail]))
    return Forced(kept, tuple(canonical[first:certain]), tuple(canonical[certain : certain + tail]))


def _certain(
    whole: str, canonical: Sequence[int], ends: Sequence[int], after: TextState, tokenize: Tokenize, joints: Joints
) -> tuple[int, int]:
    """How many of the tokens stay whatever follows, and how many behind them stay for some of what may follow."""
    if after.may_end and not any(after.next_characters()):
        return len(canonical), 0
    start = next((n for n in range(len(ends), 0, -1) if ends[-1] - ends[n - 1] >= _WINDOW_BYTES), 0)
    window = whole.encode()[ends[start - 1] if start else 0 :].decode(errors="ignore")
    alone = joints.tokens(window, tokenize)
    if alone != canonical[start:]:
        window, alone, start = whole, canonical, 0
    least, most = joints.agreeing(window, alone, after, tokenize)
    certain = max(start + least, 0)
    return certain, most + start - certain


def _probes(choices: Sequence[Sequence[tuple[int, int]]]) -> Iterator[str]:
    """Characters that may come next: all of a few, and of many those that differ in how they join."""
    ranges = [pair for choice in choices for pair in choice]
    if sum(high - low + 1 for low, high in ranges) <= _FEW:
        yield from {chr(point) for low, high in ranges for point in range(low, high + 1)}
    else:
        yield from (letter for letter in _TYPICAL if any(low <= ord(letter) <= high for low, high in ranges))


_JOINTS: WeakKeyDictionary[object, Joints] = WeakKeyDictionary()


def joints_of(engine: object) -> Joints:
    """What is known of an engine's tokenizer."""
    return _JOINTS.setdefault(engine, Joints())
