"""Importance matrices: whether ours are those of llama-imatrix, and what they are worth.

usage: python benchmarks/imatrix.py equal MODEL.gguf TEXT --programs BIN [--chunks 8] [--threads 2] [--name NAME]
       python benchmarks/imatrix.py worth [--kinds q2_k,iq3_m,...] [--segments 6] [--conversations 10] [--programs BIN]

`equal`: both measure the same model on the same text, in the same chunks; the row has the largest difference relative
to llama-imatrix's value, over all columns of all matrices, and both times. `worth`: coalm-nano's F16 file is quantized
without an importance matrix, with a flat one (all ones) and with that of the conversations that the converter makes:
with any, llama.cpp rounds by another rule, so the flat one tells the rule's part from the numbers'. How far the results
are from F16 (KL divergence in nats, at the last 96 tokens of each conversation) is told by segments of conversations
that were not measured on: `town` from the generators that coalm-nano was trained with, other seeds; `calls` from the
converter's own, another seed. Each conversation is run through all files. With --programs, llama-quantize makes the
files as well, and must make the same. Rows are appended to results/imatrix.jsonl; the last line of output is the last.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from peers import measured

from coalm_lite.converters.calibration.imatrix_file import ColumnSums, read_imatrix, write_imatrix
from coalm_lite.converters.calibration.talk import Conversation, conversations
from coalm_lite.converters.checks.agreement import divergence
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.imatrix import MeasureOptions, make_imatrix
from coalm_lite.converters.sources.gguf import gguf_source
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.session import INSTRUCTIONS_KEY
from rows import provenance

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # coalm-nano's recipe is not installed with the package
ROWS = HERE / "results" / "imatrix.jsonl"
CHECKPOINT = HERE.parent / "nano" / "checkpoint"
PLACES = 96
FILES = ("without", "flat", "with")
TOWN_SEED, CALLS_SEED = 77_000, 2
THREADS = 1  # for coalm-nano, a second thread costs more than it brings


def equal(wanted: argparse.Namespace) -> dict[str, object]:
    """Ours beside llama-imatrix's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
        options = MeasureOptions(wanted.chunks, threads=wanted.threads)
        program = str(wanted.programs.absolute() / "llama-imatrix")
        asked = ["-m", str(wanted.model), "-f", str(wanted.text), "-o", str(theirs), "-t", str(wanted.threads)]
        their_cost = measured([program, *asked, "--chunks", str(wanted.chunks), "--no-ppl"])
        started = time.perf_counter()
        report = make_imatrix(wanted.model, ours, wanted.text, options)
        our_s = time.perf_counter() - started
        left, right = read_imatrix(ours).values, read_imatrix(theirs).values
    if left.keys() != right.keys():
        raise SystemExit(f"other matrices: {sorted(left.keys() ^ right.keys())}")
    return {
        "benchmark": "imatrix_equal",
        "model": wanted.name or wanted.model.name,
        "chunks": report.chunks,
        "matrices": len(right),
        "columns": sum(len(values) for values in right.values()),
        "largest_relative_difference": max(relative_difference(left[key], right[key]) for key in right),
        "ours_s": our_s,
        "llama_imatrix_s": their_cost.wall_s,
        "llama_imatrix_peak_rss_bytes": their_cost.peak_rss_bytes,
    }


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest over all columns; a column that is 0 on one side alone makes it infinite."""
    apart = np.abs(ours.astype(np.float64) - theirs)
    return float(np.max(np.divide(apart, theirs, out=np.where(apart > 0, np.inf, 0.0), where=theirs > 0)))


def worth(wanted: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A row for each kind of file and each source of conversations."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, matrix = folder / "f16.gguf", folder / "imatrix.gguf"
        convert(CHECKPOINT, base, Quant.F16, metadata={INSTRUCTIONS_KEY: "short"})
        report = make_imatrix(base, matrix, None, MeasureOptions(threads=THREADS))
        ones = {name: ColumnSums(np.ones_like(values), 1) for name, values in read_imatrix(matrix).values.items()}
        flat = folder / "flat.gguf"
        write_imatrix(flat, ones, ["ones"], 1, 1)
        for kind in map(Quant, wanted.kinds.split(",")):
            files = {name: folder / f"{kind}.{name}.gguf" for name in FILES}
            for path, by in zip(files.values(), (None, flat, matrix), strict=True):
                convert(gguf_source(base), path, kind, imatrix=by)
            same = wanted.programs and same_as_llama_quantize(wanted.programs, base, matrix, kind, files)
            for source, make in (("town", town), ("calls", calls)):
                row = compare(base, files, [make(n, wanted.conversations) for n in range(wanted.segments)])
                about = {"benchmark": "imatrix_worth", "model": "coalm-nano", "kind": str(kind), "text": source}
                measure = {"chunks": report.chunks, "dataset": report.dataset, "same_as_llama_quantize": same}
                yield about | row | measure


def same_as_llama_quantize(programs: Path, base: Path, matrix: Path, kind: Quant, files: dict[str, Path]) -> bool:
    """Whether the tensors without and with the importance matrix are llama-quantize's, byte for byte."""
    program = str(programs.absolute() / "llama-quantize")
    same = []
    for name, options in (("without", []), ("with", ["--imatrix", str(matrix)])):
        theirs = files[name].with_suffix(".theirs")
        measured([program, *options, str(base), str(theirs), str(kind).upper(), str(THREADS)])
        same.append(tensor_bytes(theirs) == tensor_bytes(files[name]))
    return all(same)


def tensor_bytes(path: Path) -> dict[str, bytes]:
    """Each tensor's data."""
    from gguf import GGUFReader

    return {tensor.name: tensor.data.tobytes() for tensor in GGUFReader(path).tensors}


def town(segment: int, count: int) -> list[Conversation]:
    """Conversations with the demo tools, as coalm-nano was trained on, of a seed that training did not use."""
    from nano import town_talk

    rng = random.Random(TOWN_SEED + segment)
    examples = [town_talk.conversation(rng) for _ in range(count)]
    steps = [(example, example.steps[-1]) for example in examples]
    return [Conversation(each.dialect, each.tools, (*step.messages, step.reply)) for each, step in steps]


def calls(segment: int, count: int) -> list[Conversation]:
    """Conversations as those measured on, of another seed."""
    return list(conversations(CALLS_SEED, (segment + 1) * count)[segment * count :])


def compare(base: Path, files: dict[str, Path], segments: list[list[Conversation]]) -> dict[str, object]:
    """The divergences of three files from the first, by segment."""
    with ExitStack() as stack:
        paths = (base, *files.values())
        engines = [stack.enter_context(LlamaEngine.load(path, context_tokens=2048, threads=THREADS)) for path in paths]
        found = [[place for talk in talks for place in places(engines, talk)] for talks in segments]
    means = [[statistics.fmean(column) for column in zip(*segment, strict=True)] for segment in found]
    by_file = dict(zip(files, zip(*means, strict=True), strict=True))
    told: dict[str, object] = {"unit": "nats", "segments": len(segments), "conversations": sum(map(len, segments))}
    told["positions"] = sum(map(len, found))
    for name, values in by_file.items():
        told |= {f"kl_{name}": statistics.fmean(values), f"kl_{name}_range": [min(values), max(values)]}
    for other in ("without", "flat"):
        told |= gain(f"over_{other}", by_file[other], by_file["with"])
    return told


def gain(name: str, before: Sequence[float], after: Sequence[float]) -> dict[str, object]:
    """By which share the divergence fell, segment by segment."""
    gains = [1 - late / early for early, late in zip(before, after, strict=True)]
    return {
        f"gain_{name}": statistics.fmean(gains),
        f"gain_{name}_standard_error": statistics.stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else None,
        f"gain_{name}_range": [min(gains), max(gains)],
        f"segments_lower_{name}": sum(value > 0 for value in gains),
    }


def places(engines: list[LlamaEngine], talk: Conversation) -> Iterator[list[float]]:
    """Each file's divergence from the first at the last tokens of a conversation; none for one beyond the context."""
    tokens = engines[0].tokenize(talk.prompt(short=True))
    if len(tokens) > engines[0].info.context_tokens:
        return
    first = max(0, len(tokens) - 1 - PLACES)
    for base, *others in zip(*(e.logits_after(tokens[:-1], first, Cancel()) for e in engines), strict=True):
        yield [divergence(base, other) for other in others]


def main() -> None:
    """Measure, append the rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    one = ways.add_parser("equal")
    one.add_argument("model", type=Path)
    one.add_argument("text", type=Path)
    one.add_argument("--name", default="")
    one.add_argument("--chunks", type=int, default=8)
    one.add_argument("--threads", type=int, default=2)
    one.add_argument("--programs", type=Path, required=True)
    two = ways.add_parser("worth")
    two.add_argument("--kinds", default="q2_k,iq3_m,iq4_xs,q4_k_m")
    two.add_argument("--segments", type=int, default=6)
    two.add_argument("--conversations", type=int, default=10)
    two.add_argument("--programs", type=Path)
    wanted = parser.parse_args()
    for row in [equal(wanted)] if wanted.way == "equal" else worth(wanted):
        line = json.dumps(row | provenance())
        with ROWS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
