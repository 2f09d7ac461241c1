"""Time to first token of a new process's first turn with many tools: the tool block's KV state restored, and computed.

usage: python benchmarks/decoding_restore.py MODEL.gguf [--tools 40] [--n 3] [--threads N] [--keep]

Each measurement is a process of its own (the model's file is in the page cache), which takes the turn's first token and
says so; `cold` has an empty cache folder, `restored` one that the cold process filled. Told are the ratios from the
start of the process on, which is what a user waits, and from the loaded model on. The last line is one JSON object;
`--keep` appends it to results/decoding.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coalm_lite.decoding.generate import Generated, generate
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
    """A tool of about a hundred tokens: 40 of them make a prompt of about 4,000."""
    words = f"of kind {number} in a town; use it where such a place is asked for"
    properties = {
        f"{name}_{number}": {"type": "string", "description": f"the {name} asked for"}
        for name in ("area", "price", "day")
    }
    return ToolSpec(f"find_place_{number}", f"Finds places {words}.", {"type": "object", "properties": properties})


def first_token(wanted: argparse.Namespace) -> dict[str, object]:
    """What one process does: the model loaded, the tool block made ready, the turn's first token."""
    tools, folder = [tool(number) for number in range(wanted.tools)], SnapshotFolder(wanted.folder)
    with LlamaEngine.load(wanted.model, context_tokens=CONTEXT, threads=wanted.threads) as engine:
        began = time.perf_counter()
        prompts = [engine.tokenize(hammer.render([Message("user", said)], tools)) for said in (wanted.words, "a", "1")]
        block = prompts[1][: common_prefix_length(prompts[1], prompts[2])]
        outcome = ready_prefix(engine, block, folder, Cancel())
        *_, end = generate(engine, prompts[0], Sampling(max_tokens=1), None, Cancel())
        assert isinstance(end, Generated)
        took = time.perf_counter() - began
    return {"outcome": outcome, "loaded_s": took, "prompt_tokens": len(prompts[0]), "token": end.tokens}


def in_new_process(wanted: argparse.Namespace, folder: Path, words: str) -> dict[str, Any]:
    """What a process of its own tells, and the seconds from its start to its end."""
    command = [sys.executable, __file__, wanted.model, "--tools", wanted.tools, "--folder", folder, "--words", words]
    command += [] if wanted.threads is None else ["--threads", wanted.threads]
    began = time.perf_counter()
    done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"process_s": time.perf_counter() - began}


def main() -> None:
    """Measure both sides in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tools", type=int, default=40)
    parser.add_argument("--n", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder", type=Path, help="be one measurement, with the states of this folder")
    parser.add_argument("--words", default="")
    wanted = parser.parse_args()
    if wanted.folder is not None:
        print(json.dumps(first_token(wanted)))
        return
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for trial in range(wanted.n):
        with TemporaryDirectory() as name:
            words = f"Something in the north, {trial}."
            cold, restored = (in_new_process(wanted, Path(name), words) for _ in range(2))
        print(json.dumps({"trial": trial, "cold": cold, "restored": restored, "load": os.getloadavg()[0]}))
        if (cold["outcome"], restored["outcome"]) != ("saved", "restored") or cold["token"] != restored["token"]:
            raise RuntimeError("the tool block was not saved and restored, or the first tokens differ")
        rows.append((cold, restored))
    result = summary(wanted.model.name, rows) | provenance()
    print(json.dumps(result))
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def summary(model: str, rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, object]:
    """Medians of both sides, and the paired ratios with their range."""
    result: dict[str, object] = {"benchmark": "ttft_restored", "model": model, "n": len(rows)}
    result["prompt_tokens"] = rows[0][0]["prompt_tokens"]
    for since in ("process", "loaded"):
        ratios = [restored[f"{since}_s"] / cold[f"{since}_s"] for cold, restored in rows]
        result[since] = {
            "cold_s": statistics.median(cold[f"{since}_s"] for cold, _ in rows),
            "restored_s": statistics.median(restored[f"{since}_s"] for _, restored in rows),
            "ratio_median": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        }
    return result


if __name__ == "__main__":
    main()
