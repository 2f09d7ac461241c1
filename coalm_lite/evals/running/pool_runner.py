"""A run over workers with a model each: groups of items are spread over them, results written in the items' order.

Results are written here alone, as by one process, so that a run can be stopped and gone on with. A group is run on any
worker as it would be here, so the file is the same however many there are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from coalm_lite.evals.run import ItemResult
from coalm_lite.evals.running.backend import Costs, Model
from coalm_lite.evals.running.header import Part
from coalm_lite.evals.running.runner import GROUP_ITEMS, BaseSteps, Progress, ResultFile, Speed, check_done, groups
from coalm_lite.evals.running.worker import Group, GroupResult


class Pool(Model, Protocol):
    """Workers of one model."""

    @property
    def is_free(self) -> bool:
        """Whether a worker has nothing to do."""
        ...

    def keep(self, value: object) -> Any:
        """A reference by which workers get a value, sent once."""
        ...

    def give(self, suite: Any, group: Group) -> None:
        """Let a free worker run a group; `suite` is a reference."""
        ...

    def finished(self) -> tuple[Group, GroupResult | None] | None:
        """Wait for the next thing to happen: a group's result, None for one whose worker was lost, or a worker is free.

        EvalError for what another worker would not do better.
        """
        ...

    @property
    def costs(self) -> tuple[Costs, float]:
        """What all groups took that came back, added up over the workers; and the seconds of scoring."""
        ...


class PoolRunner:
    """One run into one file, as `Runner`, over the workers of a pool."""

    def __init__(
        self,
        pool: Pool,
        parts: Sequence[Part],
        file: ResultFile,
        *,
        base: BaseSteps | None = None,
        report: Callable[[Progress], object] = lambda progress: None,
        group_items: int = GROUP_ITEMS,
    ) -> None:
        """As `Runner`: equal groups give equal results."""
        self._pool = pool
        self._file = file
        self._parts = parts
        self._report = report
        self._groups = numbered_groups(parts, group_items, base or {})
        self._of = sum(len(part.items) for part in parts)
        self._resumed = self._written = len(file.done)
        self._writing_s = 0.0
        self._began = time.perf_counter()

    def run(self) -> Speed:
        """Ask all that is missing in the file."""
        check_done(self._parts, self._file)
        suites = [self._pool.keep(part.suite) for part in self._parts]
        todo = deque(group for group in self._groups if group.first + len(group.items) > self._written)
        come: dict[int, tuple[ItemResult, ...]] = {}
        while self._written < self._of:
            while todo and self._pool.is_free:
                group = todo.popleft()
                self._pool.give(suites[group.part], group)
            event = self._pool.finished()
            if event is not None and event[1] is None:
                todo.appendleft(event[0])
            elif event is not None and event[1] is not None:
                come[event[0].first] = event[1].items
                self._write(come)
        costs, scoring_s = self._pool.costs
        seconds = time.perf_counter() - self._began
        return Speed(self._of - self._resumed, seconds, scoring_s, self._writing_s, costs)

    def _write(self, come: dict[int, tuple[ItemResult, ...]]) -> None:
        """Write the groups that are next in order, without the items that the file has."""
        for group in self._groups:
            if group.first + len(group.items) <= self._written:
                continue
            if group.first not in come:
                break
            began = time.perf_counter()
            for item in come.pop(group.first)[max(0, self._written - group.first) :]:
                self._file.append(item)
                self._written += 1
            self._writing_s += time.perf_counter() - began
        seconds = time.perf_counter() - self._began
        self._report(Progress(self._written, self._of, self._resumed, self._pool.costs[0].answer_tokens, seconds))


def numbered_groups(parts: Sequence[Part], most: int, base: BaseSteps) -> list[Group]:
    """The parts' groups of about `most` items, with what the base has for them."""
    numbered, first = [], 0
    for number, part in enumerate(parts):
        for group in groups([part], most):
            items = tuple(item for _, item in group)
            keys = [(part.suite.name, item.id) for item in items]
            steps = {key: base[key] for key in keys if key in base}
            numbered.append(Group(first, number, part.dialect, items, steps))
            first += len(items)
    return numbered
