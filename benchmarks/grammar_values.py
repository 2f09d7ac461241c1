"""Two properties of the grammars over random schemas: what is valid is accepted, and what is drawn is valid.

usage: python benchmarks/grammar_values.py [--count 20000] [--seed 1] [--keep]

`instances`: valid values (as jsonschema says) in canonical form, JSON and Python in turn; all must be accepted.
`walks`: texts drawn at random from the automaton; where no keyword is left to the check all must be valid, elsewhere
the share is told. Both count texts, not schemas. The last line is one JSON object; `--keep` appends it to
results/grammar.jsonl.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from grammar_schemas import draw

from coalm_lite.errors import SchemaError
from coalm_lite.grammar import Grammar, compile_schema
from coalm_lite.grammar.check import value_check
from coalm_lite.types import JsonValue
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "grammar.jsonl"
TEXTS_A_SCHEMA = 4
LONGEST_WALK = 4000


def written(value: JsonValue, syntax: str) -> str:
    """The value in canonical form."""
    return json.dumps(value, ensure_ascii=False) if syntax == "json" else repr(value)


def walk(grammar: Grammar, rng: random.Random) -> str | None:
    """A text of the grammar, ended at random where it may end; None if it grew too long."""
    state, text = grammar.start, ""
    while len(text) < LONGEST_WALK:
        choices = state.next_characters()
        if state.may_end and (not choices or rng.random() < 0.3):
            return text
        low, high = rng.choice(rng.choice(sorted(choices)))
        character = chr(rng.choice([low, high, rng.randint(low, high)]))
        following = state.advance(character)
        assert following is not None, (text, character)
        state, text = following, text + character
    return None


def instances(count: int, seed: int) -> Counter[str]:
    """Counts of valid values and of those that were refused."""
    found: Counter[str] = Counter()
    while found["valid"] < count:
        seed += 1
        drawn, syntax = draw(random.Random(seed)), ("json", "python")[seed % 2]
        try:
            grammar = compile_schema(drawn.schema, syntax=syntax)  # type: ignore[arg-type]
        except SchemaError as error:
            found["schemas refused"] += 1
            print(f"seed {seed}: {error}")
            continue
        fits = value_check(drawn.schema)
        found["schemas"] += 1
        for value in (drawn.value() for _ in range(TEXTS_A_SCHEMA)):
            if not fits(value):
                continue
            found["valid"] += 1
            if not grammar.accepts(written(value, syntax)):
                found["refused"] += 1
                print(f"seed {seed}: refused {written(value, syntax)[:200]} of {json.dumps(drawn.schema)[:400]}")
    return found


def walks(count: int, seed: int) -> Counter[str]:
    """Counts of drawn texts, of those that do not fit, and of those that a check has to decide."""
    found: Counter[str] = Counter()
    while found["texts"] < count:
        seed += 1
        rng = random.Random(seed)
        drawn, syntax = draw(rng), ("json", "python")[seed % 2]
        try:
            grammar = compile_schema(drawn.schema, syntax=syntax)  # type: ignore[arg-type]
        except SchemaError:
            continue
        fits, read = value_check(drawn.schema), json.loads if syntax == "json" else ast.literal_eval
        for text in (walk(grammar, rng) for _ in range(TEXTS_A_SCHEMA)):
            if text is None:
                found["too long"] += 1
                continue
            kind = "texts, part checked" if grammar.needs_check else "texts"
            is_valid = fits(read(text))
            found[kind] += 1
            found[f"{kind}, not valid"] += not is_valid
            found["accepts disagrees"] += grammar.accepts(text) != is_valid
            if not is_valid and not grammar.needs_check:
                print(f"seed {seed}: not valid {text[:200]} of {json.dumps(drawn.schema)[:400]}")
    return found


def main() -> int:
    """Measure and print; 1 if a property does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    started = time.process_time()
    accepted, drawn = instances(options.count, options.seed), walks(options.count, options.seed)
    row: dict[str, object] = {
        "benchmark": "grammar_values",
        "seed": options.seed,
        "instances": accepted,
        "walks": drawn,
    }
    line = json.dumps(row | {"cpu_s": round(time.process_time() - started, 1)} | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return int(bool(accepted["refused"] or drawn["texts, not valid"] or drawn["accepts disagrees"]))


if __name__ == "__main__":
    sys.exit(main())
