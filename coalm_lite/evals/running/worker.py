"""What runs on a worker, a process of this machine or of a cluster: one model, asked group after group of items.

A group is run there as on one machine: from an empty cache, the same items together. So it does not matter which worker
runs it, nor how often it was begun before on one that was lost: the results are those of a run without workers.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import coalm_lite
from coalm_lite.errors import CoalmError
from coalm_lite.evals.items import Item, Suite
from coalm_lite.evals.run import ItemResult, ModelStory
from coalm_lite.evals.running.backend import Backend, Costs
from coalm_lite.evals.running.header import Part
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.runner import BaseSteps, Runner


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker's model is, as far as a run's header tells it; `process` and `node` name the worker for people."""

    story: ModelStory
    short: bool
    grammar: bool
    top_logprobs: int
    versions: Mapping[str, str]
    node: str = ""
    process: int = 0

    @property
    def same(self) -> Facts:
        """What must be equal on all workers."""
        return replace(self, node="", process=0)


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker's error as a value: exceptions of many kinds do not survive the way."""

    node: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Group:
    """Items that are run together: their numbers in the run, the items of one part, and the base's steps for them."""

    first: int
    part: int
    dialect: str
    items: tuple[Item, ...]
    base: BaseSteps = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupResult:
    """What came of a group, and what the worker took for all of its groups so far."""

    items: tuple[ItemResult, ...]
    costs: Costs
    scoring_s: float


@dataclass(slots=True)
class _Kept:
    """Results that stay in memory, where `Runner` writes to a file elsewhere."""

    path: Path = Path("worker")
    done: tuple[ItemResult, ...] = ()
    kept: list[ItemResult] = field(default_factory=list)

    def append(self, item: ItemResult) -> None:
        """Keep it."""
        self.kept.append(item)


class Worker:
    """One model, opened when its facts are asked for."""

    def __init__(self, model: str, options: BackendOptions) -> None:
        self._model = model
        self._options = options
        self._opened = ExitStack()
        self._backend: Backend | None = None

    def facts(self) -> Facts | Failure:
        """Which model it is; loads it."""
        try:
            backend = self._backend = self._backend or self._opened.enter_context(
                open_backend(self._model, self._options)
            )
        except CoalmError as error:
            return Failure(platform.node(), error.message, error.hint)
        return Facts(
            story=backend.story,
            short=backend.short,
            grammar=backend.grammar,
            top_logprobs=backend.top_logprobs,
            versions={"coalm-lite": coalm_lite.__version__, **backend.versions},
            node=platform.node(),
            process=os.getpid(),
        )

    def answer(self, suite: Suite, group: Group) -> GroupResult | Failure:
        """Run a group of a suite's items."""
        assert self._backend is not None, "facts are asked for first"
        kept = _Kept()
        parts = [Part(suite, group.dialect, group.items)]
        try:
            runner = Runner(self._backend, parts, kept, base=group.base, group_items=len(group.items))
            speed = runner.run()
        except CoalmError as error:
            return Failure(platform.node(), error.message, error.hint)
        return GroupResult(tuple(kept.kept), speed.costs, speed.scoring_s)


def added(costs: Sequence[Costs]) -> Costs:
    """What all workers took together; seconds are of processors, not of the clock."""
    total = Costs()
    for each in costs:
        total.prompt_tokens += each.prompt_tokens
        total.computed_tokens += each.computed_tokens
        total.answer_tokens += each.answer_tokens
        total.prompting_s += each.prompting_s
        total.prefill_s += each.prefill_s
        total.decode_s += each.decode_s
        total.sampling_s += each.sampling_s
        total.counts += each.counts
    return total
