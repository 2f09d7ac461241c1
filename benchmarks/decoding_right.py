"""Whether forced text in canonical tokens costs right calls: the same requests with it and with masking token by token.

usage: python benchmarks/decoding_right.py [MODEL.gguf] --data-dir DATA [--n 300] [--sources town snips ...]
       [--threads N] [--keep]

Sides, greedy: `forced` (the grammar's automaton: forced text enters as its canonical tokens, drafts on) and `masked`
(GBNF alone: each token is sampled, what the grammar refuses is masked). A call is right if it is the gold one, words if
words are due. For each source: how many requests both sides, one alone and none got right, and how many texts differ;
over all, McNemar's exact test. The last line is one JSON object; `--keep` appends it to results/decoding.jsonl.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from math import comb
from pathlib import Path

from real_requests import ANSWER_TOKENS, Asked, requests

from coalm_lite import dialects
from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Sampling
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"


def both(engine: LlamaEngine, asked: Asked) -> tuple[Generated, Generated]:
    """The answer with forced text, and the one that is masked token by token."""
    prompt, grammar = asked.prompt(engine), dialects.get(asked.dialect).compiled(asked.tools)
    ends: list[Generated] = []
    for held in (grammar, grammar.gbnf):
        request = Request(prompt, Sampling(max_tokens=ANSWER_TOKENS), held, drafts=held is grammar)
        *_, end = answer(engine, request)
        assert isinstance(end, Generated)
        ends.append(end)
    return ends[0], ends[1]


def exact_p(alone: int, other: int) -> float:
    """McNemar's exact two-sided p for so many requests that one side alone, and the other alone, got right."""
    count, fewer = alone + other, min(alone, other)
    return min(1.0, 2 * sum(comb(count, k) for k in range(fewer + 1)) / 2**count)


def main() -> None:
    """Answer every request on both sides and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=shipped_model_path("coalm-nano.Q8_0.gguf"))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--n", type=int, default=300, help="requests of each source")
    parser.add_argument("--sources", nargs="+", default=["town", "snips", "multiwoz", "apibank"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    found: dict[str, Counter[str]] = {}
    with LlamaEngine.load(wanted.model, threads=wanted.threads) as engine:
        for asked in requests(engine, wanted.data_dir, wanted.sources, wanted.n):
            forced, masked = both(engine, asked)
            counts = found.setdefault(asked.source, Counter())
            right = asked.is_right(forced.text), asked.is_right(masked.text)
            counts["n"] += 1
            counts[("neither", "masked alone", "forced alone", "both")[2 * right[0] + right[1]]] += 1
            counts["texts differ"] += forced.text != masked.text
            counts["tokens"] += len(forced.tokens)
            counts["tokens forced"] += forced.counts.forced
            counts["refused"] += forced.counts.refusals
            counts["refused when masked"] += masked.counts.refusals
            if forced.text != masked.text:
                print(json.dumps({"source": asked.source, "forced": [forced.text, right[0]],
                                  "masked": [masked.text, right[1]]}, ensure_ascii=False))  # fmt: skip
    total = sum(found.values(), Counter())
    result = {
        "benchmark": "decoding_right",
        "model": wanted.model.name,
        "n": total["n"],
        "sources": found,
        "right": {side: total["both"] + total[f"{side} alone"] for side in ("forced", "masked")},
        "alone": {side: total[f"{side} alone"] for side in ("forced", "masked")},
        "mcnemar_p": exact_p(total["forced alone"], total["masked alone"]),
        "refused_share": total["refused"] / max(1, total["tokens"]),
    } | provenance()
    print(json.dumps(result))
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
