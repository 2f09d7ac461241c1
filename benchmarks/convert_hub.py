"""A checkpoint converted from a hub by range beside the same one converted from its folder: equal bytes, time, memory.

usage: python benchmarks/convert_hub.py CHECKPOINT --scratch DIR [--quant q8_0] [--n 3] [--cuts 20]

Both are whole processes of `coalm-lite convert --no-verify`, in turn; the hub is tests/hub/hub_server.py on loopback,
whose work counts against the same cores. In each trial from the hub `--cuts` connections break off at random places.
One row a trial on standard output, and last the summary, appended to results/convert_hub.jsonl: medians, ranges, paired
ratios, what the hub sent for each byte of weights, and whether all tensors were equal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from peers import Cost, measured

from coalm_lite.converters.checks.tensors import data_hash
from coalm_lite.runtime.gguf_header import read_header
from rows import provenance

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "convert_hub.jsonl"
sys.path.insert(0, str(ROOT))
from tests.hub.hub_server import Hub, hub_server  # noqa: E402  # it is no part of the package


@dataclass(frozen=True, slots=True)
class Trial:
    """One pair. `cuts` connections broke off; the hub sent `sent_bytes` of files in all."""

    hub: Cost
    folder: Cost
    cuts: int
    sent_bytes: int
    equal: bool


def trial(checkpoint: Path, hub: Hub, scratch: Path, quant: str, cuts: int, hub_first: bool) -> Trial:
    """Both ways once."""
    chance = random.Random(os.urandom(8))
    largest = max(path.stat().st_size for path in checkpoint.glob("*.safetensors")) // 20
    hub.faults.cut_after[:] = [chance.randrange(largest) for _ in range(cuts)]
    before = hub.body_bytes_sent()
    names = {f"hf:bench/{checkpoint.name}": scratch / "hub.gguf", str(checkpoint): scratch / "folder.gguf"}
    costs: dict[str, Cost] = {}
    for source in sorted(names, reverse=not hub_first, key=lambda text: not text.startswith("hf:")):
        os.sync()
        command = [sys.executable, "-m", "coalm_lite.cli", "convert", source, "--quant", quant, "--no-verify", "-q"]
        costs[source] = measured([*command, "--force", "-o", str(names[source])])
    left = len(hub.faults.cut_after)
    hashes = {data_hash(path, read_header(path)) for path in names.values()}
    for path in names.values():
        path.unlink()
    from_hub, from_folder = (costs[source] for source in names)
    return Trial(from_hub, from_folder, cuts - left, hub.body_bytes_sent() - before, len(hashes) == 1)


def summary(trials: list[Trial], checkpoint: Path, quant: str) -> dict[str, object]:
    """Medians, ranges and paired ratios."""
    weights = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    row: dict[str, object] = {"benchmark": "convert_hub", "checkpoint": checkpoint.name, "quant": quant}
    row |= {"n": len(trials), "unit": "s", "equal": all(trial.equal for trial in trials)}
    row |= {"cuts": [trial.cuts for trial in trials], "weights_bytes": weights}
    row["sent_share_range"] = spread([trial.sent_bytes / weights for trial in trials])[1]
    for part in ("wall_s", "peak_rss_bytes"):
        pairs = [(float(asdict(it.hub)[part]), float(asdict(it.folder)[part])) for it in trials]
        for name, values in (
            ("hub", [hub for hub, _ in pairs]),
            ("folder", [folder for _, folder in pairs]),
            ("ratio", [hub / folder for hub, folder in pairs]),
        ):
            row[f"{name}_{part}_median"], row[f"{name}_{part}_range"] = spread(values)
    return row


def spread(values: list[float]) -> tuple[float, list[float]]:
    """The median and the range."""
    return statistics.median(values), [min(values), max(values)]


def main() -> None:
    """Measure, print the rows, and append the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--scratch", type=Path, required=True, help="a folder for the results")
    parser.add_argument("--quant", default="q8_0")
    parser.add_argument("--n", type=int, default=3)
    parser.add_argument("--cuts", type=int, default=20)
    wanted = parser.parse_args()
    wanted.scratch.mkdir(parents=True, exist_ok=True)
    checkpoint, scratch = wanted.checkpoint.absolute(), wanted.scratch.absolute()
    trials = []
    with hub_server({f"bench/{checkpoint.name}/{path.name}": path for path in checkpoint.iterdir()}) as hub:
        os.environ["HF_ENDPOINT"] = hub.endpoint
        for at in range(wanted.n):
            trials.append(trial(checkpoint, hub, scratch, wanted.quant, wanted.cuts, hub_first=at % 2 == 0))
            print(json.dumps(asdict(trials[-1])), flush=True)
    row = summary(trials, checkpoint, wanted.quant) | provenance()
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
