"""Choosing the next token from logits, with every parameter explicit (`coalm_lite.types.Sampling`).

Filters apply in this order, each to what the one before left: repeat penalty, top-k, top-p, min-p, temperature.
Probabilities for top-p and min-p are those at temperature 1. The same seed and logits give the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from secrets import randbits
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.errors import DecodingError, UsageError
from coalm_lite.types import Sampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_FIRST_GUESS = 256


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Tokens that are still in, with their logits; the most likely first where `top_k` or `top_p` sorted them."""

    ids: NDArray[np.int64]
    logits: NDArray[np.float64]

    def keep(self, kept: slice | NDArray[np.bool_]) -> _Candidates:
        return _Candidates(self.ids[kept], self.logits[kept])


class Sampler:
    """Draws tokens by one `Sampling`; UsageError for values that mean nothing. `seed` is the one in use."""

    def __init__(self, sampling: Sampling) -> None:
        _check(sampling)
        self._sampling = sampling
        self.seed = randbits(63) if sampling.seed is None else sampling.seed

    def choose(self, logits: Logits, recent_tokens: Sequence[int]) -> int:
        """The next token. `logits`: shape [vocabulary], -inf for a refused token; they are left as they are.

        `recent_tokens`, prompt included, are what the repeat penalty looks back on. Greedy choice takes the lowest of
        equal tokens. Raises DecodingError when no token is left or a logit is not a number.
        """
        logits = self._penalized(logits, recent_tokens)
        best = int(np.argmax(logits))  # of a NaN, if there is one
        if not math.isfinite(logits[best]):
            raise DecodingError(
                f"no token can be chosen: the highest logit is {logits[best]}",
                "The model file may be damaged, or the grammar and the vocabulary do not fit together.",
            )
        return best if self._sampling.temperature == 0 else self._draw(logits)

    def _penalized(self, logits: Logits, recent_tokens: Sequence[int]) -> Logits:
        penalty, window = self._sampling.repeat_penalty, self._sampling.repeat_window_tokens
        if penalty == 1 or not window or not recent_tokens:
            return logits
        seen = np.unique(np.asarray(recent_tokens[-window:]))
        logits = logits.copy()
        logits[seen] = np.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        return logits

    @cached_property
    def _random(self) -> np.random.Generator:
        """Made when it is first drawn from: greedy answers need none."""
        return np.random.Generator(np.random.PCG64(self.seed))

    def _draw(self, logits: Logits) -> int:
        candidates = _min_p(self._top_p(_top_k(logits, self._sampling.top_k)), self._sampling.min_p)
        mass = np.cumsum(_weights(candidates.logits, self._sampling.temperature))
        place = int(np.searchsorted(mass, self._random.random() * mass[-1], side="right"))
        return int(candidates.ids[min(place, len(mass) - 1)])

    def _top_p(self, candidates: _Candidates) -> _Candidates:
        """The fewest most likely candidates whose probabilities sum to `top_p` or more.

        Sorting 128,256 of them costs more than the rest of a choice, so a growing head is sorted until it is enough.
        """
        top_p = self._sampling.top_p
        if top_p >= 1:
            return candidates
        total = float(_weights(candidates.logits).sum())
        size = _FIRST_GUESS
        while True:
            head = _most_likely(candidates, size)
            mass = np.cumsum(_weights(head.logits)) / total
            if mass[-1] >= top_p or size >= len(candidates.ids):
                return head.keep(slice(int(np.searchsorted(mass, top_p)) + 1))
            size *= 8


def _top_k(logits: Logits, top_k: int) -> _Candidates:
    ids = np.flatnonzero(logits > -np.inf)
    everything = _Candidates(ids, logits[ids].astype(np.float64))
    return _most_likely(everything, top_k) if top_k else everything


def _most_likely(candidates: _Candidates, count: int) -> _Candidates:
    """The `count` candidates with the highest logits, sorted; of equal ones the lowest ids."""
    if count < len(candidates.ids):
        threshold = np.partition(candidates.logits, -count)[-count]
        candidates = candidates.keep(candidates.logits >= threshold)
    order = np.lexsort((candidates.ids, -candidates.logits))[:count]
    return _Candidates(candidates.ids[order], candidates.logits[order])


def _min_p(candidates: _Candidates, min_p: float) -> _Candidates:
    """The candidates at least `min_p` times as likely as the most likely one."""
    return candidates.keep(_weights(candidates.logits) >= min_p) if min_p else candidates


def _weights(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities up to a factor: 1 for the most likely."""
    with np.errstate(over="ignore"):  # a tiny temperature drives the others to -inf, which is right
        weights: NDArray[np.float64] = np.exp((logits - logits.max()) / temperature)
    return weights


def _check(sampling: Sampling) -> None:
    limits = {
        "temperature": (sampling.temperature, 0, 100),
        "top_k": (sampling.top_k, 0, 1 << 31),
        "top_p": (sampling.top_p, 1e-6, 1),
        "min_p": (sampling.min_p, 0, 1),
        "repeat_penalty": (sampling.repeat_penalty, 1e-3, 1e3),
        "repeat_window_tokens": (sampling.repeat_window_tokens, 0, 1 << 31),
        "seed": (sampling.seed or 0, 0, 1 << 64),
        "max_tokens": (sampling.max_tokens, 1, 1 << 31),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:  # a NaN too
            raise UsageError(f"{name} is {value}, outside {low} to {high}", f"Give a {name} between them.")
