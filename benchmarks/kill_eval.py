"""An evaluation killed at random moments, then given again: whether its run file is that of an undisturbed one.

usage: python benchmarks/kill_eval.py [--model nano] [--suite smoke] [--items N] [--data-dir DIR] [--kills 10]
                                      [--seed 0] [--threads N]

Each round starts `coalm-lite eval` and sends it SIGKILL after a random time, up to that of an undisturbed run; the next
round goes on with what is left. A file that a round finishes is compared and deleted, and the next one starts anew.
Appends one row to results/kill_eval.jsonl, also printed last: kills, the items that each found written, torn last
lines. Exit code 1 when a file differs.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rows import provenance

RESULTS = Path(__file__).parent / "results" / "kill_eval.jsonl"


class Rounds:
    """Evaluations into one file."""

    def __init__(self, target: Path, options: list[str]) -> None:
        self.target = target
        self._command = [sys.executable, "-m", "coalm_lite.cli", "eval", *options, "-o", str(target), "-q"]

    def run(self) -> bytes:
        """Run to the end; what the file holds then."""
        subprocess.run(self._command, check=True, stdout=subprocess.DEVNULL)
        return self.target.read_bytes()

    def kill_after(self, seconds: float) -> bool:
        """Start, and kill after so long; False when it was over before."""
        with subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL


def main() -> None:
    """Kill, run again, compare."""
    wanted = _wanted()
    options = [wanted.model, "--suite", wanted.suite]
    for name in ("items", "threads", "data_dir"):
        if (value := getattr(wanted, name)) is not None:
            options += [f"--{name.replace('_', '-')}", str(value)]
    with TemporaryDirectory() as folder:
        rounds = Rounds(Path(folder) / "run.jsonl", options)
        started = time.perf_counter()
        whole = rounds.run()
        whole_s = time.perf_counter() - started
        rounds.target.unlink()
        row = _killed(rounds, whole, whole_s, wanted)
    row = {"case": "kill_eval", "options": options, "items": whole.count(b"\n") - 1, **row, **provenance()}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))
    sys.exit(1 if row["differing"] else 0)


def _killed(rounds: Rounds, whole: bytes, whole_s: float, wanted: argparse.Namespace) -> dict[str, object]:
    """What became of the file over so many kills and a last, undisturbed round."""
    moments, written, torn, finished, differing = random.Random(wanted.seed), [], 0, 0, 0
    while len(written) < wanted.kills:
        if rounds.kill_after(moments.uniform(0, whole_s)):
            left = rounds.target.read_bytes() if rounds.target.exists() else b""
            written.append(max(0, left.count(b"\n") - 1))
            torn += bool(left) and not left.endswith(b"\n")
            differing += not whole.startswith(left[: left.rfind(b"\n") + 1])
        else:
            finished += 1
            differing += rounds.target.read_bytes() != whole
            rounds.target.unlink()
    differing += rounds.run() != whole
    return {
        "kills": len(written), "finished_between": finished, "differing": differing, "written_at_kills": written,
        "torn_lines": torn, "whole_s": round(whole_s, 2), "seed": wanted.seed,
    }  # fmt: skip


def _wanted() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--items", type=int)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
