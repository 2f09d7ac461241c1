"""What drafts and batches change in answers: tokens with all of it on, against plain decoding, prompt by prompt.

usage: python benchmarks/decoding_lossless.py [MODEL.gguf] [--n 500] [--together 8] [--threads N] [--keep]

Prompts are requests over the demo tools in the `cra` form, in words made of a few lists. Sides: `plain` (one answer
alone, no drafts), `drafts`, `together` (`--together` answers in a batch, with drafts), `masked` (GBNF alone, forced
text sampled token by token). Greedy. The last line is one JSON object: how many answers differ from plain, in how many
tokens forced text was cut otherwise by masking, and the drafts' lengths.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from coalm_lite import demo
from coalm_lite.decoding.scheduler import Generated, Request, Scheduler
from coalm_lite.dialects import cra
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.tools import Toolbox
from coalm_lite.types import Message, Sampling
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"
AREAS = ("north", "south", "east", "west", "centre")
KINDS = ("a cheap hotel", "an expensive restaurant", "a museum", "an Indian restaurant", "a guest house with parking")
TOWNS = ("Quillhaven", "Brindlesea", "Tilverton", "Hobberley", "Marlowick", "Pennerby")
DAYS = ("Monday", "Tuesday", "Friday", "Sunday")


def said(count: int) -> Iterator[str]:
    """Requests, the same ones each time."""
    rng = random.Random(5)
    for _ in range(count):
        yield rng.choice(
            (
                f"I need {rng.choice(KINDS)} in the {rng.choice(AREAS)}.",
                f"a train from {rng.choice(TOWNS)} to {rng.choice(TOWNS)} on {rng.choice(DAYS)}"
                f" after {rng.randrange(5, 23):02}:{rng.choice((0, 15, 30)):02}",
                f"Book a table for {rng.randrange(1, 9)} on {rng.choice(DAYS)}, please. And thanks!",
            )
        )


def decoded(engine: LlamaEngine, requests: Sequence[Request], together: int) -> list[Generated]:
    """The answers, so many at a time."""
    ends: list[Generated] = []
    for start in range(0, len(requests), together):
        scheduler = Scheduler(engine)
        numbers = [scheduler.submit(request) for request in requests[start : start + together]]
        found = {number: event for number, event in scheduler.run() if isinstance(event, Generated)}
        ends += [found[number] for number in numbers]
    return ends


def main() -> None:
    """Decode on every side and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=shipped_model_path("coalm-nano.Q8_0.gguf"))
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--together", type=int, default=8)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        specs = Toolbox(demo.tools(Path(folder) / "demo.sqlite3")).specs
    grammar = cra.compiled(specs)
    with LlamaEngine.load(asked.model, threads=asked.threads, sequences=asked.together) as engine:
        prompts = [engine.tokenize(cra.render([Message("user", words)], specs, True)) for words in said(asked.n)]
        wanted = Sampling(max_tokens=96)
        requests = [Request(prompt, wanted, grammar) for prompt in prompts]
        plain = decoded(engine, [replace(request, drafts=False) for request in requests], 1)
        sides = {
            "drafts": decoded(engine, requests, 1),
            "together": decoded(engine, requests, asked.together),
            "masked": decoded(
                engine, [replace(request, drafts=False, grammar=grammar.gbnf) for request in requests], 1
            ),
        }
    lengths = [length for end in sides["drafts"] for length in end.counts.accepted]
    result = {
        "benchmark": "decoding_lossless",
        "model": asked.model.name,
        "n": len(plain),
        "answers_that_differ": {
            side: sum(a.tokens != b.tokens for a, b in zip(plain, ends, strict=True)) for side, ends in sides.items()
        },
        "texts_that_differ": {
            side: sum(a.text != b.text for a, b in zip(plain, ends, strict=True)) for side, ends in sides.items()
        },
        "tokens": sum(len(end.tokens) for end in plain),
        "forced": sum(end.counts.forced for end in plain),
        "refused": sum(end.counts.refusals for end in plain),
        "refused_masked": sum(end.counts.refusals for end in sides["masked"]),
        "drafted": sum(end.counts.drafted for end in sides["drafts"]),
        "accepted": sum(lengths),
        "accepted_lengths": {length: lengths.count(length) for length in sorted(set(lengths))},
        "decode_s": {
            side: sum(end.timings.decode_s for end in ends) for side, ends in {"plain": plain, **sides}.items()
        },
    } | provenance()
    print(json.dumps(result))
    if asked.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
