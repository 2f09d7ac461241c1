"""One pass to a quantized GGUF beside llama.cpp's two steps: wall time, peak memory and disk, in one run.

usage: python benchmarks/convert_speed.py CHECKPOINT --llama-cpp SOURCE --programs BIN --peer-python PYTHON
           --scratch DIR [--quant q4_k_m] [--threads 2] [--n 3] [--name TEXT] [--with-verify]

Both are whole processes on the same checkpoint, in turn, the first of a pair alternating, with everything written out
before each: `coalm-lite convert --no-verify`, and convert_hf_to_gguf.py (`--outtype auto`) followed by llama-quantize.
Ours waits for the disk at the end (fsync), theirs does not. The tensors of both results are held against each other.
`--with-verify` also runs ours once with errors taken and the result tried. One row a trial on standard output, and
last the summary, which is appended to results/convert_speed.jsonl: medians, ranges, paired ratios, peaks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from peers import Cost, Peers, measured

from coalm_lite.converters.checks.tensors import data_hash
from coalm_lite.runtime.gguf_header import read_header
from rows import provenance

RESULTS = Path(__file__).parent / "results" / "convert_speed.jsonl"
OURS, SIXTEEN, THEIRS = "ours.gguf", "sixteen.gguf", "theirs.gguf"


@dataclass(frozen=True, slots=True)
class Trial:
    """One pair. `steps` are the converter and the quantizer."""

    ours: Cost
    steps: tuple[Cost, Cost]
    intermediate_bytes: int
    equal: bool

    @property
    def two_steps(self) -> Cost:
        """Both steps, one after the other."""
        one, two = self.steps
        peak = max(one.peak_rss_bytes, two.peak_rss_bytes)
        return Cost(one.wall_s + two.wall_s, one.cpu_s + two.cpu_s, peak)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is converted, how and where."""

    peers: Peers
    checkpoint: Path
    scratch: Path
    quant: str
    threads: int

    def convert(self, *options: str) -> Cost:
        """Our one pass."""
        command = [sys.executable, "-m", "coalm_lite.cli", "convert", str(self.checkpoint), "--quant", self.quant]
        command += ["-o", str(self.scratch / OURS), "--threads", str(self.threads), "--force", "-q", *options]
        os.sync()
        return measured(command)

    def two_steps(self) -> tuple[Cost, Cost]:
        """llama.cpp's way."""
        sixteen = self.scratch / SIXTEEN
        os.sync()
        first = self.peers.convert(self.checkpoint, "auto", sixteen)
        return first, self.peers.quantize(sixteen, self.scratch / THEIRS, self.quant.upper(), self.threads)

    def trial(self, ours_first: bool) -> Trial:
        """Both ways once."""
        if ours_first:
            ours, steps = self.convert("--no-verify"), self.two_steps()
        else:
            steps, ours = self.two_steps(), self.convert("--no-verify")
        size = (self.scratch / SIXTEEN).stat().st_size
        hashes = {data_hash(self.scratch / name, read_header(self.scratch / name)) for name in (OURS, THEIRS)}
        for name in (OURS, SIXTEEN, THEIRS):
            (self.scratch / name).unlink()
        return Trial(ours, steps, size, len(hashes) == 1)


def summary(trials: list[Trial], name: str, asked: Asked) -> dict[str, object]:
    """Medians, ranges and paired ratios, with what is needed to measure again."""
    row: dict[str, object] = {"benchmark": "convert_speed", "checkpoint": name, "quant": asked.quant}
    row |= {"threads": asked.threads, "n": len(trials), "unit": "s", "equal": all(trial.equal for trial in trials)}
    for part in ("wall_s", "cpu_s", "peak_rss_bytes"):
        pairs = [(float(asdict(t.ours)[part]), float(asdict(t.two_steps)[part])) for t in trials]
        row |= spread(f"ours_{part}", [ours for ours, _ in pairs])
        row |= spread(f"two_steps_{part}", [theirs for _, theirs in pairs])
        row |= spread(f"ratio_{part}", [ours / theirs for ours, theirs in pairs])
    row["intermediate_bytes"] = trials[0].intermediate_bytes
    return row


def spread(name: str, values: list[float]) -> dict[str, object]:
    """The median and the range."""
    return {f"{name}_median": statistics.median(values), f"{name}_range": [min(values), max(values)]}


def main() -> None:
    """Measure, print the rows, and append the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    Peers.add_options(parser)
    parser.add_argument("--scratch", type=Path, required=True, help="a folder on the disk to measure")
    parser.add_argument("--quant", default="q4_k_m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--n", type=int, default=3)
    parser.add_argument("--name", default="")
    parser.add_argument("--with-verify", action="store_true")
    wanted = parser.parse_args()
    wanted.scratch.mkdir(parents=True, exist_ok=True)
    scratch = wanted.scratch.absolute()
    asked = Asked(Peers.of(wanted), wanted.checkpoint.absolute(), scratch, wanted.quant, wanted.threads)
    trials = []
    for at in range(wanted.n):
        trials.append(asked.trial(ours_first=at % 2 == 0))
        print(json.dumps(asdict(trials[-1])), flush=True)
    row = summary(trials, wanted.name or asked.checkpoint.name, asked)
    if wanted.with_verify:
        row["verified_once"] = asdict(asked.convert())
        (scratch / OURS).unlink()
    row |= provenance()
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
