"""How long `coalm-lite --help` takes as a whole process, beside a bare Python interpreter.

usage: python benchmarks/startup.py [--n 20]

Both are started in turn; one warm-up each is not counted. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rows import provenance

HELP = [str(Path(sys.executable).with_name("coalm-lite")), "--help"]
BARE = [sys.executable, "-c", "pass"]


def wall_s(command: list[str]) -> float:
    """Wall time of one run, in seconds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20)
    count = parser.parse_args().n
    pairs = [(wall_s(HELP), wall_s(BARE)) for _ in range(count + 1)][1:]
    row: dict[str, object] = {"benchmark": "startup", "unit": "s", "n": count}
    for name, times in zip(("help", "bare_python"), zip(*pairs, strict=True), strict=True):
        row |= {f"{name}_median": statistics.median(times), f"{name}_range": [min(times), max(times)]}
    print(json.dumps(row | provenance()))


if __name__ == "__main__":
    main()
