"""Whether a run over Ray is the one of a single machine, with a worker killed on the way; and what it takes.

usage: python benchmarks/ray_eval.py [--suite smoke] [--data-dir FOLDER] [--items 60] [--workers 2] [--group-items 10]

coalm-nano is asked the items here, on workers of one thread each on a cluster of this machine, and once more while one
of the workers is killed after the first group. The row has the seconds of each (workers started and models loaded
counted apart), the workers lost, and whether the run files are equal byte for byte. It is appended to
results/ray_eval.jsonl and is the last line of output. Needs the extra `ray`. Two workers on a machine of two
CPUs are no gain over one engine that batches on both: what is shown is that nothing is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from coalm_lite.evals.run import Run
from coalm_lite.evals.running.header import Part, choose_dialect, run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend
from coalm_lite.evals.running.ray_pool import RayPool, RayRunner
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Progress, Runner
from coalm_lite.evals.running.scores import scores
from coalm_lite.evals.running.selection import draw
from coalm_lite.evals.suites import open_suites
from rows import provenance

ROWS = Path(__file__).parent / "results" / "ray_eval.jsonl"
OPTIONS = BackendOptions(parallel=4, threads=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--group-items", type=int, default=10)
    wanted = parser.parse_args()
    (suite,) = open_suites([wanted.suite], wanted.data_dir)
    items = draw(suite.name, suite.items, wanted.items, seed=0)
    row = measured(Part(suite, choose_dialect(suite, None, ()), items), wanted.workers, wanted.group_items)
    with ROWS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


def measured(part: Part, workers: int, group_items: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{kind}.jsonl" for kind in ("here", "cluster", "killed")]
        here_s = run_here(part, paths[0], group_items)
        told: list[str] = []
        began = time.perf_counter()
        with RayPool("nano", OPTIONS, workers=workers, tell=told.append) as pool:
            start_s = time.perf_counter() - began
            cluster_s = run_there(pool, part, paths[1], group_items, kill=False)
            killed_s = run_there(pool, part, paths[2], group_items, kill=True)
        contents = [path.read_bytes() for path in paths]
        runs = [read_run(path) for path in paths]
    return {
        "what": "ray_eval",
        "suite": part.suite.name,
        "n": len(part.items),
        "workers": workers,
        "group_items": group_items,
        "equal_bytes": contents[0] == contents[1],
        "equal_bytes_with_one_killed": contents[0] == contents[2],
        "scores": [figures(run) for run in runs],
        "workers_lost": sum("was lost" in words for words in told),
        "seconds_here": round(here_s, 1),
        "seconds_first_worker": round(start_s, 1),
        "seconds_cluster": round(cluster_s, 1),
        "seconds_cluster_one_killed": round(killed_s, 1),
        "ray": version("ray"),
        **provenance(),
    }


def run_here(part: Part, path: Path, group_items: int) -> float:
    with open_backend("nano", OPTIONS) as backend, RunAppender(path, run_header(backend, [part])) as file:
        return Runner(backend, [part], file, group_items=group_items).run().seconds


def run_there(pool: RayPool, part: Part, path: Path, group_items: int, kill: bool) -> float:
    """The seconds of a run; with `kill` the pool's first worker is killed once a group is written."""
    victims = [pool.facts.process] if kill else []

    def report(progress: Progress) -> None:
        while victims and progress.done:
            os.kill(victims.pop(), signal.SIGKILL)

    with RunAppender(path, run_header(pool, [part])) as file:
        return RayRunner(pool, [part], file, report=report, group_items=group_items).run().seconds


def figures(run: Run) -> dict[str, float]:
    return {
        f"{score.suite}/{score.metric.name}": round(score.value, 4) for score in scores(run) if score.metric.headline
    }


if __name__ == "__main__":
    main()
