"""How far each kind of file of coalm-nano is from its checkpoint, and whether our numbers are llama-perplexity's.

usage: python benchmarks/agreement.py kinds [--kinds q8_0,q4_k_m] [--threads 1]
       python benchmarks/agreement.py peer --programs BIN [--kinds q8_0,q4_k_m,q2_k] [--threads 1]
       python benchmarks/agreement.py cost --checkpoint FOLDER [--kinds q4_k_m] [--threads 2] [--repeats 3]

`kinds`: each kind is converted and verified as `coalm-lite convert` does it, against the checkpoint's BF16 file; the
row has both times. `peer`: llama-perplexity's --kl-divergence and ours over the same chunks of the fixed prompts as one
text, at the same places; it keeps the base's probabilities in 16 bits and tells five digits after the point. `cost`:
what `convert --no-verify` takes of any checkpoint, and what `verify --against` it takes, each as a process. Rows are
appended to results/agreement.jsonl; the last line of output is the last row.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from peers import measured

from coalm_lite import dialects
from coalm_lite.converters.checks.agreement import Place, agreement, divergence
from coalm_lite.converters.checks.canned import CONVERSATIONS, whole_prompt
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.verify import file_base, verify_conversion
from coalm_lite.converters.writing.tensor_error import summary
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Segment
from rows import provenance

HERE = Path(__file__).parent
ROWS = HERE / "results" / "agreement.jsonl"
CHECKPOINT = HERE.parent / "nano" / "checkpoint"
METADATA = {"coalm.dialects": "cra", "coalm.instructions": "short"}
CHUNK_TOKENS = 256
FIRST = CHUNK_TOKENS // 2  # llama-perplexity looks at the second half of each chunk
REPEATS = 3
_FOUND = re.compile(r"^(Mean\s+KLD|99\.0%\s+KLD|Same top p)[^:]*:\s*([\d.]+)(?:\s*±\s*([\d.]+))?", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kinds", "peer", "cost"])
    parser.add_argument("--kinds", default="")
    parser.add_argument("--programs", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    wanted = parser.parse_args()
    named = [Quant(name) for name in wanted.kinds.split(",") if name]
    with tempfile.TemporaryDirectory() as name:
        base = Path(name) / "base.gguf"
        convert(CHECKPOINT, base, Quant.BF16, metadata=METADATA)
        for kind in named or USUAL_KINDS[wanted.what]:
            found = MEASURES[wanted.what](kind, base, wanted)
            row = {"benchmark": f"agreement_{wanted.what}", "kind": str(kind), **found, **provenance()}
            with ROWS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row))


def one_kind(kind: Quant, base: Path, wanted: argparse.Namespace) -> dict[str, object]:
    """The kind's errors and agreement, and what conversion and verification take; the median of all repeats."""
    threads, repeats = wanted.threads, wanted.repeats
    target, source = base.with_name(f"{kind}.gguf"), checkpoint_source(CHECKPOINT)
    converted, verified = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        report = convert(source, target, kind, metadata=METADATA, measured=True, threads=threads)
        between = time.perf_counter()
        result = verify_conversion(target, file_base(base), threads=threads)
        converted.append(between - started)
        verified.append(time.perf_counter() - between)
    found = result.agreement
    if report.errors is None or found is None or result.call_problem:
        raise SystemExit(f"{kind}: not compared: {result}")
    errors = summary(report.errors, report.tensor_types)
    return {
        "n": found.positions,
        "top1": found.top1,
        "kl_mean": found.kl_mean,
        "kl_standard_error": found.kl_standard_error,
        "kl_p99": found.kl_p99,
        "worst_tensor_error": errors.worst,
        "call": result.call,
        "convert_s": sorted(converted)[repeats // 2],
        "verify_s": sorted(verified)[repeats // 2],
        "verify_s_all": verified,
    }


def beside_peer(kind: Quant, base: Path, wanted: argparse.Namespace) -> dict[str, object]:
    """Our numbers and llama-perplexity's at the same places."""
    if wanted.programs is None:
        raise SystemExit("peer needs --programs, the folder of llama-perplexity")
    target, text = base.with_name(f"{kind}.gguf"), base.with_name("text.txt")
    convert(CHECKPOINT, target, kind, metadata=METADATA)
    dialect = dialects.get("cra")
    prompts = [whole_prompt(each, dialect, short) for short in (True, False) for each in CONVERSATIONS]
    text.write_text("".join(segment.text for prompt in prompts for segment in prompt if not segment.marker))
    rows = base.with_name("base.logits")
    common = [
        "-f",
        str(text),
        "-c",
        str(CHUNK_TOKENS),
        "-b",
        str(CHUNK_TOKENS),
        "-t",
        str(wanted.threads),
        "-fa",
        "off",
    ]
    perplexity = str(wanted.programs / "llama-perplexity")
    asked = [*common, "--kl-divergence-base", str(rows)]
    subprocess.run([perplexity, "-m", str(base), *asked], check=True, capture_output=True)
    told = subprocess.run(
        [perplexity, "-m", str(target), *asked, "--kl-divergence"], check=True, capture_output=True, text=True
    ).stdout
    theirs = {name.split()[0]: (float(value), float(error or 0)) for name, value, error in _FOUND.findall(told)}
    ours = agreement("base", list(places(target, base, text, wanted.threads)))
    return {
        "n": ours.positions,
        "ours": {
            "kl_mean": ours.kl_mean,
            "kl_standard_error": ours.kl_standard_error,
            "top1": ours.top1,
            "p99": ours.kl_p99,
        },
        "llama_perplexity": {
            "kl_mean": theirs["Mean"][0],
            "kl_standard_error": theirs["Mean"][1],
            "top1": theirs["Same"][0] / 100,
            "p99": theirs["99.0%"][0],
        },
    }


def cost(kind: Quant, base: Path, wanted: argparse.Namespace) -> dict[str, object]:
    """What converting and verifying take, in turn, as processes of their own."""
    if wanted.checkpoint is None:
        raise SystemExit("cost needs --checkpoint, the folder of a model")
    target, program = base.with_name("out.gguf"), [sys.executable, "-m", "coalm_lite.cli"]
    folder, threads = str(wanted.checkpoint.absolute()), ["--threads", str(wanted.threads)]
    asked = ["--quant", str(kind), "-o", str(target), "--no-verify", "--force"]
    made, held = [], []
    for _ in range(wanted.repeats):
        made.append(measured([*program, "convert", folder, *asked, *threads]))
        held.append(measured([*program, "verify", str(target), "--against", folder, *threads]))
    return {
        "n": wanted.repeats,
        "checkpoint": wanted.checkpoint.name,
        "convert_s": [each.wall_s for each in made],
        "convert_peak_rss_bytes": max(each.peak_rss_bytes for each in made),
        "verify_s": [each.wall_s for each in held],
        "verify_cpu_s": [each.cpu_s for each in held],
        "verify_peak_rss_bytes": max(each.peak_rss_bytes for each in held),
    }


def places(target: Path, base: Path, text: Path, threads: int) -> Iterator[Place]:
    """The places that llama-perplexity looks at."""
    with LlamaEngine.load(target, threads=threads) as left, LlamaEngine.load(base, threads=threads) as right:
        tokens = left.tokenize((Segment("<|begin_of_text|>", marker=True), Segment(text.read_text())))
        for start in range(0, len(tokens) - CHUNK_TOKENS + 1, CHUNK_TOKENS):
            chunk = [tokens[0], *tokens[start + 1 : start + CHUNK_TOKENS]]
            rows = zip(
                left.logits_after(chunk, FIRST, Cancel()), right.logits_after(chunk, FIRST, Cancel()), strict=True
            )
            for _, (ours, base_logits) in zip(range(CHUNK_TOKENS - 1 - FIRST), rows, strict=False):
                yield Place(bool(ours.argmax() == base_logits.argmax()), divergence(base_logits, ours))


MEASURES = {"kinds": one_kind, "peer": beside_peer, "cost": cost}
USUAL_KINDS = {"kinds": [*Quant], "peer": [Quant.Q8_0, Quant.Q4_K_M, Quant.Q2_K], "cost": [Quant.Q4_K_M]}

if __name__ == "__main__":
    main()
