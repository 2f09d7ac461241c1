"""Conversions killed at random moments, then run again: whether the file is the one that an undisturbed run makes.

usage: python benchmarks/kill_convert.py CHECKPOINT --scratch DIR [--quant q4_k_m] [--kills 20] [--seed 0]

Each round starts `coalm-lite convert --no-verify` and sends it SIGKILL after a random time, up to that of an
undisturbed run; what is left is looked at (never OUT, unless the run was over) and the next round goes on with it. When
a round ends by itself, its file is compared and deleted, and the next one starts anew. Appends one row to
results/kill_convert.jsonl, also printed last: kills, how many found a partial file, tensors that were not made again.
Exit code 1 when a file differs or lies where it must not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from rows import provenance

RESULTS = Path(__file__).parent / "results" / "kill_convert.jsonl"


class Rounds:
    """Conversions of one checkpoint to one file."""

    def __init__(self, checkpoint: Path, scratch: Path, quant: str) -> None:
        self.target = scratch / "out.gguf"
        self._journal = scratch / "out.gguf.partial.journal"
        command = [sys.executable, "-m", "coalm_lite.cli", "convert", str(checkpoint), "--quant", quant]
        self._command = [*command, "-o", str(self.target), "--no-verify", "--json", "-q"]

    def run(self) -> dict[str, object]:
        """Run to the end; what it told."""
        done = subprocess.run(self._command, capture_output=True, text=True, check=True)
        told: dict[str, object] = json.loads(done.stdout)
        return told

    def kill_after(self, seconds: float) -> bool:
        """Start, and kill after so long; False when it was over before."""
        with subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL

    def parts(self) -> int:
        """How many tensors a later run may go on after."""
        return max(self._journal.read_bytes().count(b"\n") - 1, 0) if self._journal.is_file() else 0


def sha256(path: Path) -> str:
    """The file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Kill, run again, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--quant", default="q4_k_m")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    wanted.scratch.mkdir(parents=True, exist_ok=True)
    rounds = Rounds(wanted.checkpoint.absolute(), wanted.scratch.absolute(), wanted.quant)
    started = time.perf_counter()
    rounds.run()
    whole_s, expected = time.perf_counter() - started, sha256(rounds.target)
    rounds.target.unlink()
    moments, bad, left, resumed, kills = random.Random(wanted.seed), 0, [], 0, 0
    while kills < wanted.kills:
        killed = rounds.kill_after(moments.uniform(0, whole_s))
        kills += killed
        left.append(rounds.parts())
        bad += killed and rounds.target.exists()
        if not killed:  # it went on to the end
            bad += sha256(rounds.target) != expected
            rounds.target.unlink()
    told = rounds.run()
    resumed = int(str(told["resumed_tensors"]))
    bad += sha256(rounds.target) != expected
    rounds.target.unlink()
    leftover = sorted(path.name for path in rounds.target.parent.iterdir())
    row: dict[str, object] = {"benchmark": "kill_convert", "checkpoint": wanted.checkpoint.name, "quant": wanted.quant}
    row |= {"n": kills, "whole_s": whole_s, "tensors_left": list[object](left), "resumed_at_last": resumed}
    row |= {"bad": bad, "leftover": list[object](leftover), "seed": wanted.seed} | provenance()
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))
    sys.exit(1 if bad or leftover else 0)


if __name__ == "__main__":
    main()
