"""Our automaton beside llama.cpp's grammar sampler, and llama.cpp under random schemas and tokens, in child processes.

usage: python benchmarks/grammar_llamacpp.py --vocabulary VOCABULARY.gguf [--prefixes 20000] [--schemas 20000]
       [--seed 1] [--keep]

`agreement`: token after token, both are asked whether it may come next; tokens are those of a valid text, random ones
and single bytes, some of them no UTF-8. `fuzz`: each random schema is compiled here and in llama.cpp, then fed random
tokens, those that it lets pass and those that it refuses; a child that ends otherwise than it should, or takes too
long, is a failure. The last line is one JSON object; `--keep` appends it to results/grammar.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from grammar_schemas import draw

from coalm_lite.errors import DecodingError, SchemaError
from coalm_lite.grammar import Grammar, State, compile_schema
from coalm_lite.runtime.llamacpp.vocabulary_file import LlamaVocabulary
from coalm_lite.types import JsonValue, Segment
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "grammar.jsonl"
CHILD_SCHEMAS = 250
CHILD_LIMIT_S = 600
FUZZ_TOKENS = 24


class Tokens:
    """A vocabulary with its tokens' bytes, and a random choice of them."""

    def __init__(self, path: Path) -> None:
        self.vocabulary = LlamaVocabulary(path)
        self.pieces = [self.vocabulary.token_bytes(token) for token in range(self.vocabulary.size)]
        self.writing = [token for token, piece in enumerate(self.pieces) if piece]
        self.single = [token for token in self.writing if len(self.pieces[token]) == 1]
        self.common = [token for token in self.writing if set(self.pieces[token]) <= set(b"\"{}[]:, '0123456789.-etru")]

    def of(self, text: str) -> list[int]:
        """The text's canonical tokens."""
        return self.vocabulary.tokenize((Segment(text),))

    def some(self, rng: random.Random, text: str) -> list[int]:
        """Tokens of the text, a few of them replaced, or split into bytes."""
        kind = rng.randrange(4)
        if kind == 0:
            by_byte = {self.pieces[token]: token for token in self.single}
            tokens = [by_byte[bytes([byte])] for byte in text.encode() if bytes([byte]) in by_byte]
        else:
            tokens = self.of(text)
        if kind >= 2 and tokens:
            at = rng.randrange(len(tokens))
            tokens[at:at] = [self.one(rng) for _ in range(rng.randint(1, 2))]
        return tokens

    def one(self, rng: random.Random) -> int:
        """A token that writes something."""
        return rng.choice(rng.choice([self.writing, self.single, self.common, self.common]))


def written(value: JsonValue, syntax: str) -> str:
    """The value in canonical form."""
    return json.dumps(value, ensure_ascii=False) if syntax == "json" else repr(value)


def agreement(tokens: Tokens, count: int, seed: int) -> Counter[str]:
    """Counts of prefixes asked about, allowed ones, and disagreements."""
    found: Counter[str] = Counter()
    while found["prefixes"] < count:
        seed += 1
        rng = random.Random(seed)
        drawn, syntax = draw(rng), ("json", "python")[seed % 2]
        try:
            grammar = compile_schema(drawn.schema, syntax=syntax)  # type: ignore[arg-type]
        except SchemaError:
            continue
        found["schemas"] += 1
        try:
            compare(tokens, grammar, tokens.some(rng, written(drawn.value(), syntax)), found, f"seed {seed}")
        except DecodingError as error:
            found["llama.cpp does not compile"] += 1
            print(f"seed {seed}: {error}")
    return found


def compare(tokens: Tokens, grammar: Grammar, sequence: list[int], found: Counter[str], where: str) -> None:
    """Asks both about each token, and about a random one beside it, for as long as they allow."""
    state: State | None = grammar.start
    constraint = tokens.vocabulary.constraint(grammar.gbnf)
    rng = random.Random(len(sequence))
    try:
        for token in sequence:
            for asked in (tokens.one(rng), token):
                assert state is not None
                theirs, after = constraint.allows(asked), state.advance_bytes(tokens.pieces[asked])
                found["prefixes"] += 1
                found["allowed"] += theirs
                found["inside a character"] += not is_text(tokens.pieces[asked])
                if theirs != (after is not None):
                    found["disagree"] += 1
                    print(f"{where}: {tokens.pieces[asked]!r} allowed {theirs} by llama.cpp; {grammar.gbnf[:300]}")
            if after is None or not theirs:
                return
            constraint.accept(token)
            state = after
    finally:
        constraint.close()


def is_text(piece: bytes) -> bool:
    """Whether the bytes are whole characters."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def fuzz_some(tokens: Tokens, seeds: range) -> Counter[str]:
    """Random tokens through llama.cpp for the schemas of these seeds."""
    found: Counter[str] = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        drawn, syntax = draw(rng), ("json", "python")[seed % 2]
        try:
            grammar = compile_schema(drawn.schema, syntax=syntax)  # type: ignore[arg-type]
        except SchemaError:
            found["refused here"] += 1
            continue
        started = time.process_time()
        try:
            constraint = tokens.vocabulary.constraint(grammar.gbnf)
        except DecodingError as error:
            found["refused by llama.cpp alone"] += 1
            print(f"seed {seed}: {error}", file=sys.stderr)
            continue
        stream = tokens.of(written(drawn.value(), syntax))[: rng.randint(0, 8)]
        stream += [tokens.one(rng) for _ in range(FUZZ_TOKENS)]
        for token in stream:
            if constraint.allows(token):
                constraint.accept(token)
                found["tokens accepted"] += 1
            found["tokens"] += 1
        constraint.close()
        found["schemas"] += 1
        found["slow"] += time.process_time() - started > 1.0
    return found


def fuzz(vocabulary: Path, count: int, seed: int) -> Counter[str]:
    """Counts over all children; a child that ended badly is counted and its seeds told."""
    found: Counter[str] = Counter()
    for start in range(seed, seed + count, CHILD_SCHEMAS):
        end = min(start + CHILD_SCHEMAS, seed + count)
        command = [sys.executable, __file__, "--vocabulary", str(vocabulary), "--child", str(start), str(end)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            found["hung"] += 1
            print(f"seeds {start} to {end}: no end within {CHILD_LIMIT_S} s")
            continue
        if done.returncode:
            found["ended badly"] += 1
            print(f"seeds {start} to {end}: exit {done.returncode}: {done.stderr[-400:]}")
            continue
        found.update(json.loads(done.stdout.splitlines()[-1]))
    return found


def main() -> int:
    """Measure and print; 1 if llama.cpp ended, hung, refused a grammar or disagreed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--prefixes", type=int, default=20_000)
    parser.add_argument("--schemas", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=int, nargs=2, help="run these seeds in this process")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    tokens = Tokens(options.vocabulary)
    if options.child:
        print(json.dumps(fuzz_some(tokens, range(*options.child))))
        return 0
    compared = agreement(tokens, options.prefixes, options.seed) if options.prefixes else Counter()
    fuzzed = fuzz(options.vocabulary, options.schemas, options.seed)
    row: dict[str, object] = {
        "benchmark": "grammar_llamacpp",
        "seed": options.seed,
        "vocabulary": options.vocabulary.name,
    }
    line = json.dumps(row | {"agreement": compared, "fuzz": fuzzed} | provenance())
    print(line)
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    bad = ("hung", "ended badly", "refused by llama.cpp alone")
    return int(bool(compared["disagree"] or any(fuzzed[name] for name in bad)))


if __name__ == "__main__":
    sys.exit(main())
