"""How far two models' logits are apart at the same places of fixed prompts: top-1 agreement and KL divergence.

One model runs after the other: the first one's logits wait in a file (half a megabyte a place with Llama 3's
vocabulary), so that memory never holds both. Any `Engine` will do; one that gives the logits of many tokens at once is
asked for them. Places of one prompt depend on each other, which the standard error does not know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from coalm_lite.converters.checks.canned import CONVERSATIONS, whole_prompt
from coalm_lite.dialects import Dialect
from coalm_lite.errors import DecodingError, ModelError
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.store.provenance import Agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

Prompts: TypeAlias = "Sequence[Sequence[int]]"
PLACES_A_PROMPT = 64  # the last ones: the end of the request, the answer's header and the answer
_ROW_DTYPE = "<f4"


@runtime_checkable
class ManyLogits(Protocol):
    """An engine that computes the logits after many tokens in one batch."""

    def logits_after(self, tokens: Sequence[int], first: int, cancel: Cancel) -> Iterator[Logits]:
        """The logits after each of `tokens` from index `first` on."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """One place: whether the most likely token is the same, and the divergence in nats."""

    same: bool
    divergence: float


def prompt_tokens(engine: Engine, dialect: Dialect, short: bool) -> Prompts:
    """The fixed prompts as tokens; of one that is longer than the context, its first token and its end."""
    room = engine.info.context_tokens
    prompts = [engine.tokenize(whole_prompt(each, dialect, short)) for each in CONVERSATIONS]
    return [tokens if len(tokens) <= room else [*tokens[:1], *tokens[1 - room :]] for tokens in prompts]


def record_logits(engine: Engine, prompts: Prompts, file: IO[bytes], cancel: Cancel) -> None:
    """Write the logits at every place to `file`, row after row; DecodingError for what is no number."""
    for logits in _all_logits(engine, prompts, cancel):
        file.write(logits.astype(_ROW_DTYPE).tobytes())


def compare_logits(base: Engine, prompts: Prompts, file: IO[bytes], cancel: Cancel) -> Iterator[Place]:
    """Each place: the logits in `file`, as `record_logits` wrote them of the other model, against the base's."""
    file.seek(0)
    for logits in _all_logits(base, prompts, cancel):
        row = np.frombuffer(file.read(logits.size * 4), dtype=_ROW_DTYPE)
        if row.size != logits.size:
            raise ModelError("the two models have vocabularies of different sizes", "Compare a model with its source.")
        yield Place(bool(row.argmax() == logits.argmax()), divergence(logits, row))


def divergence(base: Logits, other: Logits) -> float:
    """The Kullback-Leibler divergence, in nats, of the distribution of `other` from that of `base`."""
    base_log, other_log = _log_probabilities(base), _log_probabilities(other)
    return max(0.0, float(np.sum(np.exp(base_log) * (base_log - other_log))))


def agreement(base_name: str, places: Sequence[Place]) -> Agreement:
    """The record of all places, of which there is at least one."""
    divergences = [place.divergence for place in places]
    spread = stdev(divergences) if len(divergences) > 1 else 0.0
    return Agreement(
        base=base_name,
        positions=len(places),
        top1=fmean(place.same for place in places),
        kl_mean=fmean(divergences),
        kl_standard_error=spread / math.sqrt(len(divergences)),
        kl_p99=float(np.percentile(divergences, 99)),
    )


def _all_logits(engine: Engine, prompts: Prompts, cancel: Cancel) -> Iterator[Logits]:
    engine.prefill(prompts[0][:1], cancel)  # so that what was asked before plays no part
    for tokens in prompts:
        first = max(0, len(tokens) - PLACES_A_PROMPT)
        for logits in _logits_after(engine, tokens, first, cancel):
            if not np.isfinite(logits).all():
                raise DecodingError("the model computes what is no number")
            yield logits


def _logits_after(engine: Engine, tokens: Sequence[int], first: int, cancel: Cancel) -> Iterator[Logits]:
    if isinstance(engine, ManyLogits):
        yield from engine.logits_after(tokens, first, cancel)
        return
    engine.prefill(tokens[: first + 1], cancel)
    yield engine.logits()
    for token in tokens[first + 1 :]:
        engine.extend([token], cancel)
        yield engine.logits()


def _log_probabilities(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - float(logits.max())
    result: NDArray[np.float64] = shifted - math.log(float(np.exp(shifted).sum()))
    return result
