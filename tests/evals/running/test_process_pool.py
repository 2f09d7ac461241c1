"""Workers that are processes of this machine: the same file as one process writes, whatever becomes of a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coalm_lite.errors import EvalError
from coalm_lite.evals.run import Run
from coalm_lite.evals.running.evaluation import Evaluation, evaluate
from coalm_lite.evals.running.header import Part, run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.pool_runner import PoolRunner
from coalm_lite.evals.running.process_pool import ProcessPool
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Progress, Runner, base_steps
from coalm_lite.evals.running.workers_model import MOST_LOSSES
from coalm_lite.evals.suites import open_suites

OPTIONS = BackendOptions(context_tokens=1024, threads=1, top_logprobs=2)
GROUP = 10
(SMOKE,) = open_suites(["smoke"])
PART = Part(SMOKE, SMOKE.dialects[0], SMOKE.items)
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


def on_processes(
    pool: ProcessPool, path: Path, report: Callable[[Progress], object] = lambda _: None, base: Path | None = None
) -> Run:
    steps = base_steps(read_run(base)) if base else None
    with RunAppender(path, run_header(pool, [PART], base=base)) as file:
        PoolRunner(pool, [PART], file, base=steps, report=report, group_items=GROUP).run()
    return read_run(path)


def test_the_file_is_byte_for_byte_the_one_of_a_single_process(pool: ProcessPool, local: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    on_processes(pool, tmp_path / "run.jsonl", seen.append)
    assert (tmp_path / "run.jsonl").read_bytes() == local.read_bytes()
    assert seen[-1].done == seen[-1].of == len(SMOKE.items) and seen[-1].answer_tokens > 0


def test_a_killed_workers_items_are_run_again(pool: ProcessPool, local: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and progress.done >= 2 * GROUP:
            killed.append(next(each.process.pid or 0 for each in pool._workers if each.group is not None))
            os.kill(killed[0], signal.SIGKILL)

    assert on_processes(pool, tmp_path / "run.jsonl", kill_one) == read_run(local)
    assert killed and any("a worker was lost" in words for words in TOLD)


def test_a_stopped_run_goes_on_and_a_base_is_used(pool: ProcessPool, local: Path, tmp_path: Path) -> None:
    lines = local.read_bytes().splitlines(keepends=True)
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(lines[:18]) + b'{"torn')
    assert on_processes(pool, path) == read_run(local)
    run = on_processes(pool, tmp_path / "against.jsonl", base=local)
    found = [step.agreement for item in run.items for step in item.steps]
    assert all(found) and sum(each.agreed_tokens for each in found if each) > 0


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
