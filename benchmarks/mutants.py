"""Damaged copies of the embedded model: which the check refuses, and what llama.cpp does with those that it passes.

usage: python benchmarks/mutants.py [--count 2000] [--seed 0] [--keep FOLDER]

Each mutant depends on the seed and its number alone. Those that the check passes are loaded, and a few tokens decoded,
each in a forked child, so that an abort inside llama.cpp is seen: exit code 1 when a child was killed or hung, and the
files at fault in FOLDER. Needs a system that can fork. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from gguf_mutations import Parts, damaged

from coalm_lite import models
from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.types import Segment
from rows import provenance

MODEL = Path(models.__file__).parent / "coalm-nano.Q8_0.gguf"
PROMPT = (Segment("A cheap hotel in the north, 3 nights, für Zoë… 日本\n\n  please!"),)
LIMIT_S = 60
ENDS = {0: "loaded", 10: "refused by llama.cpp", 11: "failed politely"}


def mutant(number: int, seed: int, data: bytes, parts: Parts) -> bytes:
    """The bytes of one mutant: taken apart and written anew, or damaged at a few places, in turn."""
    chance = random.Random(f"{seed}-{number}")
    return parts.changed(chance) if number % 2 else damaged(data, parts, chance, data[: parts.data_offset])


def use(path: Path) -> int:
    """Load a model and decode with it, as a chat would; the exit code of a child."""
    try:
        with LlamaEngine.load(path, threads=1, context_tokens=256, batch_tokens=64) as engine:
            engine.prefill(engine.tokenize(PROMPT) or [0], Cancel())
            engine.extend([int(engine.logits().argmax())], Cancel())
            engine.logits()
    except ModelError:
        return 10
    except CoalmError:
        return 11
    return 0


def fate(path: Path, errors: Path) -> str:
    """What became of a child that used `path`; what it wrote on standard error is in `errors`."""
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(LIMIT_S)
        with errors.open("wb") as file:
            os.dup2(file.fileno(), 2)
        code = 99  # an exception that is none of ours
        try:
            code = use(path)
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return "hung" if -status == signal.SIGALRM else f"killed by {signal.Signals(-status).name}"
    return ENDS.get(status, f"ended with {status}")


def run(count: int, seed: int, keep: Path) -> dict[str, object]:
    """Make, check and use the mutants; the row's figures."""
    data = MODEL.read_bytes()
    parts, fates, bad = Parts.of(data), Counter[str](), list[str]()
    started = time.perf_counter()
    for number in range(count):
        path, errors = keep / f"{seed}-{number}.gguf", keep / f"{seed}-{number}.txt"
        path.write_bytes(mutant(number, seed, data, parts))
        try:
            check_model_file(path)
        except ModelError:
            end = "refused by the check"
        else:
            end = fate(path, errors)
        fates[end] += 1
        if end in ("refused by the check", *ENDS.values()):
            path.unlink()
            errors.unlink(missing_ok=True)
        else:
            bad.append(f"{path.name}: {end}")
            print(bad[-1], errors.read_text(errors="replace")[-300:], file=sys.stderr)
    seconds = time.perf_counter() - started
    return {"benchmark": "mutants", "n": count, "seed": seed, "fates": dict(fates), "bad": bad, "wall_s": seconds}


def main() -> None:
    """Run and print; exit code 1 when a child died."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    os.environ["GGML_NO_BACKTRACE"] = "1"  # an abort would start a debugger
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:
        keep = options.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        row = run(options.count, options.seed, keep)
    print(json.dumps(row | provenance()))
    sys.exit(1 if row["bad"] else 0)


if __name__ == "__main__":
    main()
