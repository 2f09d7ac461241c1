"""Several desks of the same model as one: for a small model, one engine a core answers more than one with all cores.

A request goes where it is best off: to the desk that has little in work, or that computed what its prompt begins with.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace

from coalm_lite.app.desks import AppDesk, DeskState
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.opening import KEPT, open_desk
from coalm_lite.decoding.prefix import Outcome
from coalm_lite.decoding.requests import Generated, Piece, Request
from coalm_lite.runtime.base import Cancel, common_prefix_length
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.runtime.options import SMALL_PARAMETERS, this_machine
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.store.facts import check_model
from coalm_lite.types import ModelInfo, Prompt

_WORTH_WAITING = 128  # tokens of a prompt: what an answer that is in work costs another one beside it


def engines_for(spec: ModelSpec) -> int:
    """By how many engines a model is best served: for a small one as many as it may use cores, else one."""
    if check_model(spec.path).parameters > SMALL_PARAMETERS:
        return 1
    return min(spec.threads or this_machine(gpu_offload=False).physical_cores, spec.sequences)


def open_group(
    spec: ModelSpec, engines: int, *, isolate: bool = True, prefixes: SnapshotFolder | None = None
) -> AppDesk:
    """The model in so many engines; where there are several, with one thread and an equal part of the answers each.

    The errors are `open_desk`'s. Each is in a process of its own with `isolate`. `max_memory_bytes` is for all of them
    together.
    """
    if engines == 1:
        return open_desk(spec, isolate=isolate, prefixes=prefixes)
    limit = spec.max_memory_bytes
    sequences = -(-spec.sequences // engines)
    each = replace(spec, threads=1, sequences=sequences, max_memory_bytes=None if limit is None else limit // engines)
    desks: list[AppDesk] = []
    try:
        for _ in range(engines):
            desks.append(open_desk(each, isolate=isolate, prefixes=prefixes))
    except BaseException:
        for desk in desks:
            desk.close()
        raise
    return DeskGroup(desks)


class DeskGroup(ClosedAtExit):
    """An `AppDesk` over others of the same model, which become its own."""

    def __init__(self, desks: Sequence[AppDesk]) -> None:
        self._desks = tuple(desks)
        self._gate = threading.Lock()  # around what follows
        self._in_work = [0] * len(desks)
        self._used = [0] * len(desks)  # when each was chosen last
        self._count = 0
        # The latest prompts: about those that a desk still holds.
        self._asked = [deque[Sequence[int]](maxlen=KEPT * desk.state.sequences) for desk in desks]

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._desks[0].info

    @property
    def state(self) -> DeskState:
        """All of them together; loaded where each is."""
        states = [desk.state for desk in self._desks]
        counted = (name for name in DeskState.__dataclass_fields__ if name != "loaded")
        sums = {name: sum(getattr(state, name) for state in states) for name in counted}
        return DeskState(loaded=all(state.loaded for state in states), **sums)

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The model's tokens, from whoever has the least to do."""
        return self._desks[self._in_work.index(min(self._in_work))].tokenize(prompt)

    def answer(self, request: Request) -> Generator[Piece | Generated, None, None]:
        """The answer of the desk where the request is best off, chosen at the first `next`."""
        place = self._enter(request.prompt)
        try:
            yield from self._desks[place].answer(request)
        finally:
            with self._gate:
                self._in_work[place] -= 1

    def _enter(self, prompt: Sequence[int]) -> int:
        with self._gate:
            place = min(range(len(self._desks)), key=lambda place: (self._cost(place, prompt), self._used[place]))
            self._count += 1
            self._used[place] = self._count
            self._in_work[place] += 1
            self._asked[place].append(prompt)
        return place

    def _cost(self, place: int, prompt: Sequence[int]) -> int:
        """Tokens: what is in work there, less what of the prompt need not be computed there."""
        shared = max((common_prefix_length(asked, prompt) for asked in self._asked[place]), default=0)
        return self._in_work[place] * _WORTH_WAITING - shared

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        """Have it at hand everywhere; what became of it at the first."""
        first, *others = self._desks
        outcome = first.ready(block, cancel)
        for desk in others:
            desk.ready(block, cancel)
        return outcome

    def close(self) -> None:
        """Close them all."""
        for desk in self._desks:
            desk.close()
