"""Workers that are processes of this machine, with a model each: for models so small that one process wastes the cores.

A worker that ends takes nothing along: its group goes to another, and a new one is started. Workers end with this
process, however it ends: their connection is cut.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from coalm_lite.errors import EvalError
from coalm_lite.evals.running.opening import BackendOptions
from coalm_lite.evals.running.worker import Facts, Failure, Group, GroupResult, Worker
from coalm_lite.evals.running.workers_model import WorkersModel
from coalm_lite.runtime.one_thread import ClosedAtExit

_END_S = 5.0  # for a worker that is told to end
_LOST = "Look at this machine's memory, and give fewer --workers."


@dataclass(slots=True, eq=False)
class _Process:
    """A worker; `group` is what it runs, None while it loads or waits. `told`: the suites that it has."""

    process: SpawnProcess
    connection: Connection
    group: Group | None = None
    loaded: bool = False
    told: set[int] = field(default_factory=set)

    @property
    def is_free(self) -> bool:
        return self.loaded and self.group is None


class ProcessPool(WorkersModel, ClosedAtExit):
    """`workers` processes with the model of that name, each opened with these options."""

    def __init__(
        self, model: str, options: BackendOptions, workers: int, tell: Callable[[str], object] = lambda words: None
    ) -> None:
        """Waits for the first worker; EvalError where it cannot open the model."""
        super().__init__()
        self._arguments = (model, options)
        self._tell = tell
        self._kept: list[bytes] = []
        self._workers: list[_Process] = []
        tell(f"{workers} processes, {options.threads or 'several'} threads each")
        try:
            self._start(workers)
        except BaseException:
            self.close()
            raise

    @property
    def is_free(self) -> bool:
        """Whether a worker has nothing to do."""
        return any(worker.is_free for worker in self._workers)

    def keep(self, value: object) -> int:
        """A number by which workers get a value, sent once each."""
        self._kept.append(pickle.dumps(value))
        return len(self._kept) - 1

    def give(self, suite: int, group: Group) -> None:
        """Let a free worker run a group; `suite` is what `keep` gave."""
        worker = next(worker for worker in self._workers if worker.is_free)
        worker.group = group
        new = suite not in worker.told
        worker.told.add(suite)
        try:
            worker.connection.send((suite, self._kept[suite] if new else None, group))
        except OSError:
            return  # it has just ended, which is seen where its answer is waited for

    def finished(self) -> tuple[Group, GroupResult | None] | None:
        """Wait for the next thing to happen: a group's result, None for one whose worker was lost, or a worker is free.

        EvalError for what another worker would not do better.
        """
        ready = wait([worker.connection for worker in self._workers])
        worker = next(worker for worker in self._workers if worker.connection is ready[0])
        group, value = worker.group, self._received(worker)
        worker.group = None
        if value is None:
            self._replace(worker, group)
            return (group, None) if group else None
        if isinstance(value, Failure):
            raise EvalError(f"a worker: {value.message}", value.hint)
        if isinstance(value, Facts):
            worker.loaded = True
            self._check_facts(value)
            return None
        assert group is not None, "facts are answered with facts"
        self._count_costs(worker, value)
        return group, value

    def _received(self, worker: _Process) -> Facts | GroupResult | Failure | None:
        """What a worker sent; None when it has ended."""
        try:
            value: Facts | GroupResult | Failure = worker.connection.recv()
        except (EOFError, OSError):
            return None
        return value

    def _replace(self, worker: _Process, group: Group | None) -> None:
        worker.process.join(_END_S)
        self._tell(f"a worker was lost (exit code {worker.process.exitcode})")
        self._end(worker)
        self._workers.remove(worker)
        self._count_loss(group, _LOST)
        self._start_worker()

    def _start_worker(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        process = spawn.Process(target=work, args=(there, *self._arguments), daemon=True)
        process.start()
        there.close()
        self._workers.append(_Process(process, here))

    def _end(self, worker: _Process) -> None:
        worker.connection.close()
        worker.process.terminate()
        worker.process.join(_END_S)
        worker.process.close()

    def close(self) -> None:
        """End the workers; a second call does nothing."""
        while self._workers:
            self._end(self._workers.pop())


def work(connection: Connection, model: str, options: BackendOptions) -> None:
    """The life of a worker: tell what the model is, then run what comes until nobody is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the process that has the workers
    worker = Worker(model, options)
    suites: dict[int, Any] = {}
    try:
        connection.send(worker.facts())
        while True:
            number, suite, group = connection.recv()
            if suite is not None:
                suites[number] = pickle.loads(suite)
            connection.send(worker.answer(suites[number], group))
    except (EOFError, OSError):
        return
