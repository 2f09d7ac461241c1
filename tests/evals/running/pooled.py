"""The smoke suite run over a pool of workers, of whatever kind, and what must hold of each kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coalm_lite.evals.run import Run
from coalm_lite.evals.running.header import Part, run_header
from coalm_lite.evals.running.pool_runner import Pool, PoolRunner
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Progress, base_steps
from coalm_lite.evals.suites import open_suites

GROUP = 10
(SMOKE,) = open_suites(["smoke"])
PART = Part(SMOKE, SMOKE.dialects[0], SMOKE.items)


def run_over(
    pool: Pool, path: Path, report: Callable[[Progress], object] = lambda _: None, base: Path | None = None
) -> Run:
    """The run that the pool's workers make."""
    steps = base_steps(read_run(base)) if base else None
    with RunAppender(path, run_header(pool, [PART], base=base)) as file:
        PoolRunner(pool, [PART], file, base=steps, report=report, group_items=GROUP).run()
    return read_run(path)


def check_equal_files(pool: Pool, local: Path, folder: Path) -> None:
    """The file is byte for byte the one of a single process, and progress is told."""
    seen: list[Progress] = []
    run_over(pool, folder / "run.jsonl", seen.append)
    assert (folder / "run.jsonl").read_bytes() == local.read_bytes()
    assert seen[-1].done == seen[-1].of == len(SMOKE.items) and seen[-1].answer_tokens > 0


def check_resumed_and_with_a_base(pool: Pool, local: Path, folder: Path) -> None:
    """A stopped run goes on to the same end, and a base's answers are verified."""
    lines = local.read_bytes().splitlines(keepends=True)
    path = folder / "run.jsonl"
    path.write_bytes(b"".join(lines[:18]) + b'{"torn')
    assert run_over(pool, path) == read_run(local)
    run = run_over(pool, folder / "against.jsonl", base=local)
    found = [step.agreement for item in run.items for step in item.steps]
    assert all(found) and sum(each.agreed_tokens for each in found if each) > 0
