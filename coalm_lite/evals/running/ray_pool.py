"""Workers on a Ray cluster, with a model each. A lost one takes nothing along: its group goes to another.

Each node must find the model under the name that is given here, and coalm-lite in the same version. Not covered: GPUs
as a resource of workers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from coalm_lite.errors import EvalError, MissingExtraError, UsageError
from coalm_lite.evals.running.opening import BackendOptions, is_server
from coalm_lite.evals.running.worker import Facts, Failure, Group, GroupResult, Worker
from coalm_lite.evals.running.workers_model import WorkersModel
from coalm_lite.runtime.one_thread import ClosedAtExit

START_S = 900.0  # for a node to load a large model from a slow disk
_STORE_BYTES = 128 << 20  # what goes between workers is items, not models
_LOST = "Look at the nodes' memory, and at Ray's logs (/tmp/ray/session_latest/logs)."


class RayPool(WorkersModel, ClosedAtExit):
    """The workers of one model, on the cluster at an address; "" is RAY_ADDRESS, or a new one on this machine."""

    def __init__(
        self,
        model: str,
        options: BackendOptions,
        address: str = "",
        *,
        workers: int | None = None,
        tell: Callable[[str], object] = lambda words: None,
        start_s: float = START_S,
    ) -> None:
        """Waits for the first worker. `workers`: how many; None for as many as `options.threads` leaves room for.

        UsageError where there is no such cluster, EvalError where a node cannot open the model.
        """
        if is_server(model):
            raise UsageError(f"{model} is a server, which needs no cluster", "Ask it from here, without --ray.")
        super().__init__()
        self._ray: Any = _ray()
        self._tell = tell
        self._start_s = start_s
        self._running: dict[Any, tuple[Any, Group | None]] = {}  # an answer to come: its worker, and what it was given
        self._idle: deque[Any] = deque()
        self._began_it = _connect(self._ray, address)
        try:
            count, threads = _shape(self._ray, workers, options.threads)
            self._arguments = (model, replace(options, threads=threads))
            self._class = self._ray.remote(Worker).options(num_cpus=threads, scheduling_strategy="SPREAD")
            tell(f"{count} workers on {_nodes(self._ray)} nodes, {threads} threads each")
            self._start(count)
        except BaseException:
            self.close()
            raise

    @property
    def is_free(self) -> bool:
        """Whether a worker has nothing to do."""
        return bool(self._idle)

    def keep(self, value: object) -> Any:
        """A reference by which workers get a value, sent once a node."""
        return self._ray.put(value)

    def give(self, suite: Any, group: Group) -> None:
        """Let a free worker run a group; `suite` is a reference."""
        worker = self._idle.popleft()
        self._running[worker.answer.remote(suite, group)] = (worker, group)

    def finished(self) -> tuple[Group, GroupResult | None] | None:
        """Wait for the next thing to happen: a group's result, None for one whose worker was lost, or a worker is free.

        EvalError for what another worker would not do better.
        """
        ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=self._start_s)
        if not ready:
            self._check_alive()
            return None
        worker, group = self._running.pop(ready[0])
        value = self._value(ready[0])
        if value is None:
            self._replace(worker, group)
            return (group, None) if group else None
        if isinstance(value, Failure):
            raise EvalError(f"the worker on {value.node}: {value.message}", value.hint)
        self._idle.append(worker)
        if isinstance(value, Facts):
            self._check_facts(value)
            return None
        assert group is not None, "facts are answered with facts"
        self._count_costs(worker, value)
        return group, value

    def _value(self, reference: Any) -> Facts | GroupResult | Failure | None:
        """What a worker answered; None when it was lost."""
        errors = self._ray.exceptions
        try:
            value: Facts | GroupResult | Failure = self._ray.get(reference)
        except errors.RayTaskError:  # a fault of the program, which another worker has too
            raise
        except errors.RayError as error:
            self._tell(f"a worker was lost ({type(error).__name__})")
            return None
        return value

    def _replace(self, worker: Any, group: Group | None) -> None:
        self._count_loss(group, _LOST)
        self._ray.kill(worker)
        self._start_worker()

    def _start_worker(self) -> None:
        worker = self._class.remote(*self._arguments)
        self._running[worker.facts.remote()] = (worker, None)

    def _check_alive(self) -> None:
        if self._facts is None or not any(group for _, group in self._running.values()):
            raise EvalError(
                f"no worker was ready within {self._start_s:g} s",
                "Look at `ray status` for what the cluster has room for.",
            )

    def close(self) -> None:
        """End the workers, and the cluster if it was started here; a second call does nothing."""
        workers = {id(worker): worker for worker in [*self._idle, *(worker for worker, _ in self._running.values())]}
        self._idle.clear()
        self._running.clear()
        for worker in workers.values():
            self._ray.kill(worker)
        if self._began_it:
            self._began_it = False
            self._ray.shutdown()


def _ray() -> Any:
    """The package, which tells nobody that it is used."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        raise MissingExtraError("--ray needs the package ray", "Install it: pip install 'coalm-lite[ray]'.") from error


def _connect(ray: Any, address: str) -> bool:
    """Join a cluster, or start one here; whether it is ours to end."""
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if not address and not os.environ.get("RAY_ADDRESS"):
        quiet |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(address=address or None, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        words = " ".join(str(error).split())[:200]
        raise UsageError(
            f"no Ray cluster answers at {address or os.environ.get('RAY_ADDRESS', 'this machine')!r}: {words}",
            "Start one with `ray start --head`, and give its host:6379; --ray alone starts one on this machine.",
        ) from error
    return True


def _nodes(ray: Any) -> int:
    return len(_processors(ray))


def _processors(ray: Any) -> list[int]:
    """The CPUs of each node that has any."""
    found = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return [count for count in found if count]


def _shape(ray: Any, workers: int | None, threads: int | None) -> tuple[int, int]:
    """How many workers, of how many threads: one a node, or as many as are wanted or as `threads` leaves room for."""
    processors = _processors(ray)
    if not processors:
        raise EvalError("no node of the Ray cluster has a CPU for a worker", "Look at `ray status`.")
    on_a_node = -(-(workers or 1) // len(processors))
    each = threads or max(1, min(processors) // on_a_node)
    room = sum(count // each for count in processors)
    if (workers or 1) > room:
        raise UsageError(
            f"{workers or 1} workers of {each} threads do not fit on nodes of {', '.join(map(str, processors))} CPUs",
            f"At most {room} do." if room else "Give fewer --threads.",
        )
    return workers or room, each
