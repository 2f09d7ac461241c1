"""A run over a Ray cluster of two workers on this machine: equal to one without it, a worker killed on the way.

Skipped where the extra `ray` is not installed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from coalm_lite.errors import EvalError, UsageError
from coalm_lite.evals.running.header import run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.pool_runner import PoolRunner
from coalm_lite.evals.running.ray_pool import RayPool
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Progress, Runner
from coalm_lite.evals.running.workers_model import MOST_LOSSES
from tests.evals.running.pooled import GROUP, PART, SMOKE, check_equal_files, check_resumed_and_with_a_base, run_over

# Ray's own, about files and sockets that it leaves to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")
OPTIONS = BackendOptions(parallel=4, context_tokens=1024, threads=1, top_logprobs=2)


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


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("local") / "run.jsonl"
    with open_backend("nano", OPTIONS) as backend, RunAppender(path, run_header(backend, [PART])) as file:
        Runner(backend, [PART], file, group_items=GROUP).run()
    return path


def test_the_run_is_the_one_of_a_single_machine(pool: RayPool, local: Path, tmp_path: Path) -> None:
    check_equal_files(pool, local, tmp_path)


def test_a_lost_workers_items_are_run_again(pool: RayPool, local: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and progress.done >= 2 * GROUP:
            killed.append(pool.facts.process)
            os.kill(pool.facts.process, signal.SIGKILL)

    assert run_over(pool, tmp_path / "run.jsonl", kill_one) == read_run(local)
    assert killed and any("a worker was lost" in words for words in TOLD)


def test_a_stopped_run_goes_on_and_a_base_is_used(pool: RayPool, local: Path, tmp_path: Path) -> None:
    check_resumed_and_with_a_base(pool, local, tmp_path)


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
