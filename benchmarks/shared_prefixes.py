"""How much of a suite's prompts neighbours share, in the suite's order, shuffled, and in the best order there is.

usage: python benchmarks/shared_prefixes.py --data-dir DATA [--suites bfcl:non_live bfcl:live ...] [--keep]

A token is shared where it stands in the prefix that a prompt has in common with the one before it; only an item's first
prompt counts. Prompts are those of coalm-nano: its vocabulary, `short` instructions. The best order is that of the
prompts' tokens, sorted: no other order has more in common between neighbours. Prompts that leave no room for an answer
in coalm-nano's context are counted beside, by stratum. The last line is one JSON object, which `--keep` appends to
results/bfcl.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from coalm_lite import dialects
from coalm_lite.evals.items import Suite
from coalm_lite.evals.suites import open_suites
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaVocabulary
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "bfcl.jsonl"
CONTEXT_TOKENS = 2048


def first_prompts(suite: Suite, dialect: str, vocabulary: LlamaVocabulary) -> dict[str, list[int]]:
    """The tokens of each item's first prompt, in the suite's order."""
    prompts = {}
    for item in suite.items:
        play = suite.play(item, dialect)
        ask = next(play)
        play.close()
        prompt = dialects.get(ask.dialect).render(ask.messages, ask.tools, short=True)
        prompts[item.id] = vocabulary.tokenize(prompt)
    return prompts


def shared_percent(prompts: Sequence[Sequence[int]]) -> float:
    """The share of tokens that stand in what two neighbours have in common."""
    shared = sum(common_prefix_length(one, other) for one, other in pairwise(prompts))
    return round(100 * shared / sum(map(len, prompts)), 1)


def measure(suite: Suite, dialect: str, vocabulary: LlamaVocabulary) -> dict[str, object]:
    """The figures of one suite in one dialect."""
    prompts = first_prompts(suite, dialect, vocabulary)
    in_order = list(prompts.values())
    shuffled = random.Random(0).sample(in_order, len(in_order))
    strata = {item.id: item.stratum for item in suite.items}
    too_long = Counter(strata[item] for item, prompt in prompts.items() if len(prompt) >= CONTEXT_TOKENS)
    return {
        "suite": suite.name,
        "dialect": dialect,
        "prompts": len(prompts),
        "tokens": sum(map(len, in_order)),
        "shared_percent": shared_percent(in_order),
        "shuffled_percent": shared_percent(shuffled),
        "best_percent": shared_percent(sorted(in_order)),
        "without room": dict(sorted(too_long.items())),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--suites", nargs="+", default=["bfcl:non_live", "bfcl:live", "bfcl:multi_turn", "apibank"])
    parser.add_argument("--dialects", nargs="+", default=["bfcl", "hammer"], choices=dialects.NAMES)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    vocabulary = LlamaVocabulary(shipped_model_path("coalm-nano.Q8_0.gguf"))
    figures = []
    for suite in open_suites(options.suites, options.data_dir):
        for dialect in [each for each in suite.dialects if each in options.dialects]:
            figures.append(measure(suite, dialect, vocabulary))
            print(json.dumps(figures[-1]))
    line = json.dumps({"benchmark": "shared_prefixes", "suites": figures} | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
