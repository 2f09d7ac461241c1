"""The likeliest next tokens at each free place of an answer, recorded as it is sampled; and how far from a base's.

A place is free where the model was asked: forced text has none. What is recorded comes from the logits before any
grammar. A place of text that was replaced later, so that it is cut as in training, counts up to where it still stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.decoding.sampling import Sampler
from coalm_lite.evals.run import Agreement, Choice, Step
from coalm_lite.evals.running.run_file import LOGPROB_DIGITS
from coalm_lite.runtime.base import common_prefix_length
from coalm_lite.types import Sampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_LEAST = 10.0**-LOGPROB_DIGITS  # of what is left beside the kept tokens: rounding hides less


class Recorder(Sampler):
    """Chooses greedily and keeps what it chose from: the `top` likeliest, and the divergence from `base` choices."""

    def __init__(self, sampling: Sampling, prompt_length: int, top: int, base: Step | None = None) -> None:
        """`base`: the recorded step for the same prompt."""
        super().__init__(sampling)
        self.begun = False  # whether it was asked for a token: then the whole prompt is computed
        self._prompt_length = prompt_length
        self._top = top
        self._base_choices: Mapping[int, Choice] = {choice.at: choice for choice in base.choices} if base else {}
        self._base = base
        self._choices: dict[int, Choice] = {}
        self._divergences: dict[int, float] = {}
        self._answer: list[int] = []  # as it stood at the last new place
        self._asked = False

    def choose(self, logits: Logits, recent_tokens: Sequence[int]) -> int:
        """The next token; the first call at a place is recorded, later ones are about what a grammar refused."""
        self.begun = True
        answer = recent_tokens[self._prompt_length :]
        if (self._top or self._base_choices) and not (self._asked and answer == self._answer):
            self._keep(common_prefix_length(self._answer, answer))
            self._answer, self._asked = [*answer], True
            self._record(logits, len(answer))
        return super().choose(logits, recent_tokens)

    def _keep(self, standing: int) -> None:
        """Forget the places behind the first `standing` tokens, which are other ones now."""
        for places in (self._choices, self._divergences):
            for at in [at for at in places if at > standing]:
                del places[at]

    def _record(self, logits: Logits, at: int) -> None:
        whole = _log_sum_exp(logits)
        if self._top:
            ids = likeliest(logits, self._top)
            self._choices[at] = Choice(at, tuple(ids.tolist()), _rounded(logits[ids] - whole))
        base = self._base_choices.get(at)
        if base is not None and self._base is not None and [*self._base.tokens[:at]] == self._answer:
            self._divergences[at] = divergence(base.logprobs, _rounded(logits[[*base.ids]] - whole))

    def choices(self, tokens: Sequence[int]) -> tuple[Choice, ...]:
        """The choices at the places of an answer that ended as `tokens`."""
        self._keep(common_prefix_length(self._answer, tokens))
        return tuple(self._choices[at] for at in sorted(self._choices))

    def agreement(self, tokens: Sequence[int]) -> Agreement | None:
        """How the answer went beside the base's; None without one."""
        if self._base is None:
            return None
        self._keep(common_prefix_length(self._answer, tokens))
        agreed = common_prefix_length(self._base.tokens, tokens)
        total = round(sum(self._divergences.values()), 6)
        return Agreement(agreed, len(self._base.tokens), total, len(self._divergences))


def likeliest(logits: Logits, count: int) -> NDArray[np.int64]:
    """The ids of the `count` highest logits, the highest first; of equal ones the lowest ids."""
    if count >= len(logits):
        ids = np.arange(len(logits))
    else:
        ids = np.flatnonzero(logits >= np.partition(logits, -count)[-count])
    return ids[np.lexsort((ids, -logits[ids]))][:count]


def divergence(base: Sequence[float], other: Sequence[float]) -> float:
    """KL(base || other) in nats over the given log-probabilities and the rest as one, both rounded alike."""
    left, right = _with_rest(base), _with_rest(other)
    return float(max(0.0, np.sum(left * (np.log(left) - np.log(right)))))


def _with_rest(logprobs: Sequence[float]) -> NDArray[np.float64]:
    """Probabilities that sum to 1, none of them 0."""
    kept = np.exp(np.asarray(logprobs, dtype=np.float64))
    every = np.append(kept, 1 - kept.sum())
    every = np.maximum(every, np.append(np.full(len(kept), np.finfo(np.float64).tiny), _LEAST))
    shares: NDArray[np.float64] = every / every.sum()
    return shares


def _log_sum_exp(logits: Logits) -> float:
    highest = float(logits.max())
    return highest + float(np.log(np.exp(logits - highest, dtype=np.float32).sum(dtype=np.float64)))


def _rounded(values: NDArray[np.float32]) -> tuple[float, ...]:
    """Rounded so that a file says the same; never -0.0."""
    return tuple(round(float(value), LOGPROB_DIGITS) + 0.0 for value in values)
