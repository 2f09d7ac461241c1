"""Drives suites' plays on a backend and writes what comes of them: in the items' order, each as soon as it can be.

Items are taken in groups, whole clusters at a time. A group begins with an empty cache, so that what comes of it hangs
on nothing before: a run that was killed goes on at the group it was in, and ends equal to one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coalm_lite.errors import EvalError
from coalm_lite.evals.items import Answer, Ask, Item, Outcome, Play
from coalm_lite.evals.run import ItemResult, Run, Step
from coalm_lite.evals.running.backend import Backend, Costs, Question, answer_of
from coalm_lite.evals.running.header import Part

GROUP_ITEMS = 32
BaseSteps = Mapping[tuple[str, str], Sequence[Step]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: items of all, answers' tokens so far, and seconds since it began here."""

    done: int
    of: int
    resumed: int
    answer_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What a run took here; items that were there from before do not count."""

    items: int
    seconds: float
    scoring_s: float
    writing_s: float
    costs: Costs = field(default_factory=Costs)

    @property
    def items_per_minute(self) -> float:
        """Of the items that were asked here."""
        return 60 * self.items / self.seconds if self.seconds else 0.0

    @property
    def shared(self) -> float:
        """Which part of the prompts' tokens was not computed again."""
        prompts = self.costs.prompt_tokens
        return 1 - self.costs.computed_tokens / prompts if prompts else 0.0


@dataclass(slots=True)
class _Playing:
    """An item that is being asked; `result` once it is done."""

    part: Part
    item: Item
    play: Play
    base: Sequence[Step]
    steps: list[Step] = field(default_factory=list)
    result: ItemResult | None = None


class ResultFile(Protocol):
    """Where results go, in the items' order; `done` are those that were there before."""

    @property
    def path(self) -> Path: ...

    @property
    def done(self) -> Sequence[ItemResult]: ...

    def append(self, item: ItemResult) -> None: ...


def base_steps(base: Run) -> BaseSteps:
    """The recorded steps of a base run, by suite and item."""
    return {(item.suite, item.id): item.steps for item in base.items}


class Runner:
    """One run into one file."""

    def __init__(
        self,
        backend: Backend,
        parts: Sequence[Part],
        file: ResultFile,
        *,
        base: BaseSteps | None = None,
        report: Callable[[Progress], object] = lambda progress: None,
        group_items: int = GROUP_ITEMS,
    ) -> None:
        """`base`: the steps whose answers are the drafts, in a differential run. `report` is told of each item."""
        self._backend = backend
        self._parts = parts
        self._file = file
        self._base = base or {}
        self._report = report
        self._group_items = group_items
        self._of = sum(len(part.items) for part in parts)
        self._resumed = self._written = len(file.done)
        self._asked = 0
        self._numbers = 0
        self._scoring_s = self._writing_s = 0.0
        self._began = time.perf_counter()

    def run(self) -> Speed:
        """Ask all that is missing in the file."""
        check_done(self._parts, self._file)
        first = 0
        for group in groups(self._parts, self._group_items):
            if first + len(group) > self._written:
                self._run_group(group, first)
            first += len(group)
        seconds = time.perf_counter() - self._began
        return Speed(self._asked, seconds, self._scoring_s, self._writing_s, self._backend.costs)

    def _run_group(self, group: Sequence[tuple[Part, Item]], first: int) -> None:
        """Ask a group's items, as many at once as the backend takes; those that are written already are not again."""
        self._backend.forget()
        waiting = iter(group)
        playing: list[_Playing] = []
        open_: dict[int, _Playing] = {}
        written = 0
        while written < len(group):
            while len(open_) < self._backend.parallel and (begun := next(waiting, None)) is not None:
                playing.append(self._begin(*begun))
                self._go_on(playing[-1], None, open_)
            for number, step in self._backend.finished() if open_ else ():
                one = open_.pop(number)
                one.steps.append(step)
                self._go_on(one, answer_of(step), open_)
            while written < len(playing) and (result := playing[written].result) is not None:
                self._write(result, first + written)
                written += 1

    def _begin(self, part: Part, item: Item) -> _Playing:
        self._asked += 1
        base = self._base.get((part.suite.name, item.id), ())
        return _Playing(part, item, part.suite.play(item, part.dialect), base)

    def _go_on(self, one: _Playing, answer: Answer | None, open_: dict[int, _Playing]) -> None:
        """Give a play its answer, and put its next question, if it has one."""
        began = time.perf_counter()
        ask = self._next(one, answer)
        self._scoring_s += time.perf_counter() - began
        if ask is not None:
            self._numbers += 1
            recorded = one.base[len(one.steps)] if len(one.steps) < len(one.base) else None
            open_[self._numbers] = one
            self._backend.submit(Question(self._numbers, ask, recorded))

    def _next(self, one: _Playing, answer: Answer | None) -> Ask | None:
        try:
            return next(one.play) if answer is None else one.play.send(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
        item = one.item
        one.result = ItemResult(
            one.part.suite.name, item.id, item.stratum, item.cluster, outcome.units, tuple(one.steps), outcome.note
        )
        return None

    def _write(self, result: ItemResult, place: int) -> None:
        if place >= self._written:
            began = time.perf_counter()
            self._file.append(result)
            self._written += 1
            self._writing_s += time.perf_counter() - began
        seconds = time.perf_counter() - self._began
        tokens = self._backend.costs.answer_tokens
        self._report(Progress(max(self._written, place + 1), self._of, self._resumed, tokens, seconds))


def check_done(parts: Sequence[Part], file: ResultFile) -> None:
    """EvalError where the items that a file has are not the first ones of these parts."""
    expected = [(part.suite.name, item.id) for part in parts for item in part.items]
    for number, (there, wanted) in enumerate(zip(file.done, expected, strict=False), start=2):
        if (there.suite, there.id) != wanted:
            raise EvalError(
                f"{file.path}, line {number}: the item {there.id!r} stands where {wanted[1]!r} belongs",
                "Give another file with -o, or --force to begin this one anew.",
            )


def groups(parts: Sequence[Part], most: int) -> Iterator[list[tuple[Part, Item]]]:
    """The items in groups of about `most`, of one part each, whole clusters where their items are neighbours."""
    for part in parts:
        group: list[tuple[Part, Item]] = []
        for item in part.items:
            if len(group) >= most and item.cluster != group[-1][1].cluster:
                yield group
                group = []
            group.append((part, item))
        if group:
            yield group
