"""The grammars on public collections of schemas that they were not written against.

usage: python benchmarks/public_suites.py [--suite tests/draft2020-12] [--schemas FILE.json ...] [--keep]

`--suite`: a folder of the JSON-Schema-Test-Suite (jsonschema's source archive on PyPI carries it as `json/tests`): each
instance that is invalid must be refused; valid ones that cannot be written so are told by their reason. `--schemas`: a
JSON object of schemas by name (hypothesis-jsonschema's source archive carries some): each is compiled or refused, and
what is drawn from its grammar must be valid where no check is needed. The last line is one JSON object; `--keep`
appends it to results/grammar.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from grammar_values import RESULTS, walk

from coalm_lite.errors import SchemaError
from coalm_lite.grammar import Grammar, compile_schema
from coalm_lite.grammar.check import value_check
from rows import provenance

WALKS = 3


# Any: other people's JSON, of no fixed form
def run_suite(folder: Path) -> Counter[str]:
    """Counts over all tests of the suite; what is accepted wrongly, and what is valid and not accepted, is printed."""
    found: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.json")):
        kind = "optional" if "optional" in path.parts else "required"
        for case in json.loads(path.read_text(encoding="utf-8")):
            found["schemas"] += 1
            try:
                grammar = compile_schema(case["schema"])
            except SchemaError as error:
                found["schemas refused"] += 1
                found["valid instances of refused schemas"] += sum(test["valid"] for test in case["tests"])
                print(f"refused {path.name}: {error.message[:120]}")
                continue
            for test in case["tests"]:
                judge(grammar, test, f"{kind} {path.name}: {test['description']}", found, kind)
    return found


def judge(grammar: Grammar, test: Any, where: str, found: Counter[str], kind: str) -> None:
    """One instance: whether the grammar says what the suite says."""
    try:
        text = json.dumps(test["data"], ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return
    found[f"{kind} tests"] += 1
    accepted = grammar.accepts(text)
    if accepted and not test["valid"]:
        found[f"{kind}: accepted wrongly"] += 1
        print(f"accepted wrongly {where}: {text[:80]}")
    elif test["valid"] and not accepted:
        found[f"{kind}: valid, not accepted"] += 1
        print(f"not accepted {where}: {text[:80]}")


def run_schemas(path: Path) -> Counter[str]:
    """Counts of compiled and refused schemas, and of drawn texts that are not valid."""
    found: Counter[str] = Counter()
    listed = json.loads(path.read_text(encoding="utf-8"))
    for name, schema in listed.items() if isinstance(listed, dict) else enumerate(listed):
        found["schemas"] += 1
        started = time.process_time()
        try:
            grammar = compile_schema(schema)
        except SchemaError as error:
            found["refused"] += 1
            print(f"refused {path.name} {name}: {error.message[:160]}")
            continue
        found["slow to compile"] += time.process_time() - started > 1
        fits, rng = value_check(schema if isinstance(schema, dict) else {}), random.Random(str(name))
        for text in (walk(grammar, rng) for _ in range(WALKS)):
            if text is None or grammar.needs_check:
                found["drawn, too long or part checked"] += 1
                continue
            found["drawn"] += 1
            if not fits(json.loads(text)):
                found["drawn, not valid"] += 1
                print(f"not valid {path.name} {name}: {text[:200]}")
    return found


def main() -> int:
    """Measure and print; 1 if something invalid was accepted or drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path)
    parser.add_argument("--schemas", type=Path, nargs="*", default=[])
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    row: dict[str, object] = {"benchmark": "public_suites"}
    counts = [run_suite(options.suite)] if options.suite else []
    counts += [run_schemas(path) for path in options.schemas]
    names = [*(["suite"] if options.suite else []), *(path.name for path in options.schemas)]
    row |= dict(zip(names, counts, strict=True))
    line = json.dumps(row | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return int(any(count["required: accepted wrongly"] or count["drawn, not valid"] for count in counts))


if __name__ == "__main__":
    sys.exit(main())
