"""A run over a Ray cluster of two workers on this machine: equal to one without it, a worker killed on the way.

Skipped where the extra `ray` is not installed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.run import Run
from coalm_lite.evals.running.header import Part, run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.pool_runner import PoolRunner
from coalm_lite.evals.running.ray_pool import RayPool
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Progress, Runner, base_steps
from coalm_lite.evals.running.workers_model import MOST_LOSSES
from coalm_lite.evals.suites import open_suites

# Ray's own, about files and sockets that it leaves to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")
OPTIONS = BackendOptions(parallel=4, context_tokens=1024, threads=1, top_logprobs=2)
GROUP = 10
(SMOKE,) = open_suites(["smoke"])
PART = Part(SMOKE, SMOKE.dialects[0], SMOKE.items)


TOLD: list[str] = []


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    """Two workers on a cluster of two CPUs, with a small store and no dashboard, which the pool joins."""
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        configure_logging=False,
    )
    with pytest.raises(UsageError, match="3 workers of 1 threads do not fit on nodes of 2 CPUs"):
        RayPool("nano", OPTIONS, workers=3)
    with RayPool("nano", OPTIONS, workers=2, tell=TOLD.append) as pool:
        yield pool
    ray.shutdown()


def on_ray(
    pool: RayPool, path: Path, report: Callable[[Progress], object] = lambda _: None, base: Path | None = None
) -> Run:
    steps = base_steps(read_run(base)) if base else None
    with RunAppender(path, run_header(pool, [PART], base=base)) as file:
        PoolRunner(pool, [PART], file, base=steps, report=report, group_items=GROUP).run()
    return read_run(path)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("local") / "run.jsonl"
    with open_backend("nano", OPTIONS) as backend, RunAppender(path, run_header(backend, [PART])) as file:
        Runner(backend, [PART], file, group_items=GROUP).run()
    return path


def test_the_run_is_the_one_of_a_single_machine(pool: RayPool, local: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    assert on_ray(pool, tmp_path / "run.jsonl", seen.append) == read_run(local)
    assert (tmp_path / "run.jsonl").read_bytes() == local.read_bytes()
    assert seen[-1].done == seen[-1].of == len(SMOKE.items) and seen[-1].answer_tokens > 0


def test_a_lost_workers_items_are_run_again(pool: RayPool, local: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and progress.done >= 2 * GROUP:
            killed.append(pool.facts.process)
            os.kill(pool.facts.process, signal.SIGKILL)

    assert on_ray(pool, tmp_path / "run.jsonl", kill_one) == read_run(local)
    assert killed and any("a worker was lost" in words for words in TOLD)


def test_a_stopped_run_goes_on_and_a_base_is_used(pool: RayPool, local: Path, tmp_path: Path) -> None:
    lines = local.read_bytes().splitlines(keepends=True)
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(lines[:18]) + b'{"torn')
    assert on_ray(pool, path) == read_run(local)
    run = on_ray(pool, tmp_path / "against.jsonl", base=local)
    found = [step.agreement for item in run.items for step in item.steps]
    assert all(found) and sum(each.agreed_tokens for each in found if each) > 0


def test_a_group_that_breaks_its_workers_is_given_up(pool: RayPool, tmp_path: Path) -> None:
    with RunAppender(tmp_path / "run.jsonl", run_header(pool, [PART])) as file:
        group = PoolRunner(pool, [PART], file)._groups[0]
    while not pool.is_free:
        pool.finished()
    pool._losses[group.first] = MOST_LOSSES - 1
    suite, worker = pool.keep(SMOKE), pool._idle[0]
    pool.give(suite, group)
    pool._ray.kill(worker)
    with pytest.raises(EvalError, match=f"{MOST_LOSSES} workers were lost with the group of"):
        while True:
            pool.finished()
