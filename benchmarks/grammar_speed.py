"""How long 50 tools take to compile, and a token's text to be read by the automaton, in processor time.

usage: python benchmarks/grammar_speed.py --data-dir DATA [--n 15] [--keep]

Tools are drawn from BFCL V3's functions (folder `bfcl` of DATA), another 50 each time, in each dialect in turn; caches
of patterns are cold for the first run only, which is counted. A token's text is what a piece of four characters of a
gold answer costs `State.advance`, read the first time and again. The last line is one JSON object; `--keep` appends it
to results/grammar.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path

from gold_answers import RESULTS, bfcl

from coalm_lite import dialects
from coalm_lite.types import Message, ToolSpec
from rows import provenance

TOOLS = 50
PIECE = 4


def read_items(data_dir: Path) -> tuple[list[ToolSpec], list[tuple[list[ToolSpec], Message]]]:
    """All functions by name, and items with one of their gold answers."""
    tools: dict[str, ToolSpec] = {}
    answers: list[tuple[list[ToolSpec], Message]] = []
    for _, listed, gold in bfcl(data_dir / "bfcl", 400):
        tools |= {tool.name: tool for tool in listed}
        if gold:
            answers.append((listed, Message("assistant", calls=tuple(calls[0] for calls in gold[:8]))))
    return list(tools.values()), answers


def compile_ms(tools: list[ToolSpec], dialect: str) -> float:
    """Processor time until the grammar and its GBNF are there."""
    started = time.process_time()
    dialects.get(dialect).grammar(tools)
    return (time.process_time() - started) * 1000


def piece_us(tools: list[ToolSpec], answer: Message, dialect: str) -> tuple[float, float]:
    """Processor time for each piece of the answer's text, the first time and the second."""
    form = dialects.get(dialect)
    text, grammar = form.render_reply(answer), form.compiled(tools)
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    found: list[float] = []
    for _ in range(2):
        state, started = grammar.start, time.process_time()
        for piece in pieces:
            following = state.advance(piece)
            if following is None:
                break
            state = following
        found.append((time.process_time() - started) * 1e6 / len(pieces))
    return found[0], found[1]


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2), "max": round(max(values), 2)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--n", type=int, default=15)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    tools, answers = read_items(options.data_dir)
    rng = random.Random(1)
    row: dict[str, object] = {"benchmark": "grammar_speed", "n": options.n, "tools": TOOLS}
    for dialect in ("hammer", "cra", "bfcl"):
        row[f"{dialect}_compile_ms"] = spread([compile_ms(rng.sample(tools, TOOLS), dialect) for _ in range(options.n)])
        costs = [piece_us(*rng.choice(answers), dialect) for _ in range(options.n * 10)]
        row[f"{dialect}_piece_us"] = spread([first for first, _ in costs])
        row[f"{dialect}_piece_again_us"] = spread([again for _, again in costs])
    line = json.dumps(row | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
