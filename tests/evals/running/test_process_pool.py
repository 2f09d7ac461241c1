"""Workers that are processes of this machine: the same file as one process writes, whatever becomes of a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite.errors import EvalError
from coalm_lite.evals.running.evaluation import Evaluation, evaluate
from coalm_lite.evals.running.header import run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.pool_runner import PoolRunner
from coalm_lite.evals.running.process_pool import ProcessPool
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Progress, Runner
from coalm_lite.evals.running.workers_model import MOST_LOSSES
from tests.evals.running.pooled import GROUP, PART, SMOKE, check_equal_files, check_resumed_and_with_a_base, run_over

OPTIONS = BackendOptions(context_tokens=1024, threads=1, top_logprobs=2)
TOLD: list[str] = []


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    with ProcessPool("nano", OPTIONS, 2, TOLD.append) as pool:
        yield pool


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process's run, one answer after the other."""
    path = tmp_path_factory.mktemp("local") / "run.jsonl"
    with open_backend("nano", OPTIONS) as backend, RunAppender(path, run_header(backend, [PART])) as file:
        assert backend.parallel == 1
        Runner(backend, [PART], file, group_items=GROUP).run()
    return path


def test_the_file_is_byte_for_byte_the_one_of_a_single_process(pool: ProcessPool, local: Path, tmp_path: Path) -> None:
    check_equal_files(pool, local, tmp_path)


def test_a_killed_workers_items_are_run_again(pool: ProcessPool, local: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and progress.done >= 2 * GROUP:
            killed.append(next(each.process.pid or 0 for each in pool._workers if each.group is not None))
            os.kill(killed[0], signal.SIGKILL)

    assert run_over(pool, tmp_path / "run.jsonl", kill_one) == read_run(local)
    assert killed and any("a worker was lost" in words for words in TOLD)


def test_a_stopped_run_goes_on_and_a_base_is_used(pool: ProcessPool, local: Path, tmp_path: Path) -> None:
    check_resumed_and_with_a_base(pool, local, tmp_path)


def test_a_group_that_breaks_its_workers_is_given_up(tmp_path: Path) -> None:
    with ProcessPool("nano", OPTIONS, 1) as pool:
        with RunAppender(tmp_path / "run.jsonl", run_header(pool, [PART])) as file:
            group = PoolRunner(pool, [PART], file)._groups[0]
        suite = pool.keep(SMOKE)
        with pytest.raises(EvalError, match=f"{MOST_LOSSES} workers were lost with the group of"):
            for _ in range(MOST_LOSSES):
                while not pool.is_free:
                    pool.finished()
                pool.give(suite, group)
                os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
                pool.finished()


def test_a_model_that_no_worker_can_open_is_an_error_at_once() -> None:
    with pytest.raises(EvalError, match="a worker: context is 5000000"):
        ProcessPool("nano", BackendOptions(context_tokens=5_000_000), 2)


def test_a_small_model_has_a_process_a_core_and_no_more_than_there_are_groups(tmp_path: Path) -> None:
    told: list[str] = []
    run, _ = evaluate(Evaluation(model="nano", output=tmp_path / "a.jsonl", workers=2), tell=told.append)
    assert any(words.startswith("2 processes") for words in told)
    told.clear()
    few, _ = evaluate(Evaluation(model="nano", output=tmp_path / "b.jsonl", items=8, workers=2), tell=told.append)
    assert not any("processes" in words for words in told) and len(few.items) == 8
    assert len(run.items) == len(SMOKE.items)
