"""Time to first token of a new process's first turn with many tools: the tool block's KV state restored, and computed.

usage: python benchmarks/decoding_restore.py MODEL.gguf [--tools 40] [--n 3] [--keep]

Each measurement loads the model anew (its file is in the page cache) and takes the turn's first token; `cold` has an
empty cache folder, `restored` one that a first turn filled. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from coalm_lite.decoding.generate import generate
from coalm_lite.decoding.prefix import ready_prefix
from coalm_lite.dialects import hammer
from coalm_lite.runtime.base import Cancel, common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import Message, Sampling, ToolSpec
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"
CONTEXT = 6144


def tool(number: int) -> ToolSpec:
    """A tool of about a hundred tokens."""
    words = f"of kind {number} in a town, by its area, price and day; use it where such a place is asked for"
    properties = {
        f"{name}_{number}": {"type": "string", "description": f"the {name} that was asked for"}
        for name in ("area", "price", "day", "name")
    }
    return ToolSpec(f"find_place_{number}", f"Finds places {words}.", {"type": "object", "properties": properties})


def first_token(model: Path, folder: SnapshotFolder, tools: list[ToolSpec], words: str) -> tuple[float, str, int]:
    """Seconds from the loaded model to the first token, what became of the tool block, and the prompt's length."""
    with LlamaEngine.load(model, context_tokens=CONTEXT) as engine:
        began = time.perf_counter()
        prompts = [engine.tokenize(hammer.render([Message("user", said)], tools)) for said in (words, "a", "1")]
        block = prompts[1][: common_prefix_length(prompts[1], prompts[2])]
        outcome = ready_prefix(engine, block, folder, Cancel())
        [*generate(engine, prompts[0], Sampling(max_tokens=1), None, Cancel())]
        return time.perf_counter() - began, outcome, len(prompts[0])


def main() -> None:
    """Measure both sides in turn and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tools", type=int, default=40)
    parser.add_argument("--n", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    tools = [tool(number) for number in range(asked.tools)]
    cold: list[float] = []
    restored: list[float] = []
    length = 0
    for trial in range(asked.n):
        with TemporaryDirectory() as name:
            folder = SnapshotFolder(Path(name))
            for side, wanted in ((cold, "saved"), (restored, "restored")):
                seconds, outcome, length = first_token(asked.model, folder, tools, f"Something in the north, {trial}.")
                if outcome != wanted:
                    raise RuntimeError(f"the tool block was {outcome}, not {wanted}")
                side.append(seconds)
                print(json.dumps({"trial": trial, "outcome": outcome, "ttft_s": seconds, "load": os.getloadavg()[0]}))
    ratios = [warm / fresh for warm, fresh in zip(restored, cold, strict=True)]
    result = {
        "benchmark": "ttft_restored",
        "model": asked.model.name,
        "n": len(ratios),
        "prompt_tokens": length,
        "cold_s": statistics.median(cold),
        "restored_s": statistics.median(restored),
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    } | provenance()
    print(json.dumps(result))
    if asked.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
