"""What drafts and batches change in answers: tokens with all of it on, against plain decoding, prompt by prompt.

usage: python benchmarks/decoding_lossless.py [MODEL.gguf] [--data-dir DATA] [--n 500] [--together 8] [--noise 30]
       [--threads N] [--keep]

Prompts are requests over the demo tools in the `cra` form, in words made of a few lists; with `--data-dir` as many from
each source of real_requests.py as make `--n`, most of which nano is not sure about. Sides: `plain` (one answer
alone, no drafts), `drafts`, `together` (`--together` answers in a batch, with drafts), `masked` (GBNF alone, forced
text sampled token by token). Greedy. What the engine's batch size alone changes is measured: the logits of `--noise`
plain answers, computed in batches of 1, 2, 4, 8 and 16 tokens, and their prompts whole or in pieces of 32 to 256. At
the first token at which an answer differs from plain, the logit by which plain preferred its own is set against how far
batch sizes move two logits apart, there and anywhere. (Where only the cut of the text differs there, for forced text
healed it before a later choice, the choice cannot be found any more: these are counted apart.) The last line is one
JSON object: how many answers differ, how many of these within that noise, and the drafts' lengths.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from real_requests import SOURCES
from real_requests import requests as real_requests

from coalm_lite import demo, dialects
from coalm_lite.decoding.pace import BatchParts, GivenCost, Pace
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.decoding.scheduler import Scheduler
from coalm_lite.dialects import cra
from coalm_lite.grammar import Grammar
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import Cancel, Stretch, common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.tools import Toolbox
from coalm_lite.types import Message, Sampling
from rows import provenance

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"
SIZES = (1, 2, 4, 8, 16)
DEAR_STEPS = GivenCost(BatchParts(fixed=1.0, token=0.1, row=0.02))  # so that guesses are tried with a quick model
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


def questions(engine: LlamaEngine, data: Path | None, count: int) -> list[tuple[list[int], Grammar]]:
    """Prompts with their grammars."""
    if data is not None:
        found = real_requests(engine, data, SOURCES, -(-count // len(SOURCES)))
        return [(asked.prompt(engine), dialects.get(asked.dialect).compiled(asked.tools)) for asked in found]
    with TemporaryDirectory() as folder:
        specs = Toolbox(demo.tools(Path(folder) / "demo.sqlite3")).specs
    grammar = cra.compiled(specs)
    return [(engine.tokenize(cra.render([Message("user", words)], specs, True)), grammar) for words in said(count)]


def decoded(engine: LlamaEngine, requests: Sequence[Request], together: int) -> list[Generated]:
    """The answers, so many at a time."""
    ends: list[Generated] = []
    for start in range(0, len(requests), together):
        scheduler = Scheduler(engine, Pace(DEAR_STEPS))
        numbers = [scheduler.submit(request) for request in requests[start : start + together]]
        found = {number: event for number, event in scheduler.run() if isinstance(event, Generated)}
        ends += [found[number] for number in numbers]
    return ends


@dataclass(frozen=True, slots=True)
class Difference:
    """A first token that differs: by how much plain preferred its own, and how far batch sizes moved the two apart.

    `recut`: the texts agree longer than that, so that a later choice differed.
    """

    recut: bool
    margin: float
    moved: float


def answer_logits(engine: LlamaEngine, prompt: Sequence[int], said: Sequence[int], size: int) -> Logits:
    """The logits behind the prompt and behind each token of the answer, which is computed `size` tokens at a time.

    The prompt is computed at once for a size of 1, else in pieces of 16 times the size.
    """
    for sequence in range(engine.sequences):
        engine.cut(sequence, 0)
    piece = len(prompt) if size == 1 else 16 * size
    for start in range(0, len(prompt), piece):
        engine.extend(prompt[start : start + piece], Cancel())
    rows = [engine.logits()[None]]
    for start in range(0, len(said), size):
        batch = said[start : start + size]
        rows += engine.compute([Stretch(0, batch, range(len(batch)))], Cancel())
    return np.concatenate(rows)


def deviations(engine: LlamaEngine, prompts: Sequence[Sequence[int]], ends: Sequence[Generated]) -> dict[str, object]:
    """How far batches of other sizes than 1 move logits: the largest, and that of the likeliest against others."""
    moved: dict[int, list[float]] = {size: [0.0, 0.0] for size in SIZES[1:]}
    for prompt, end in zip(prompts, ends, strict=True):
        alone = answer_logits(engine, prompt, end.tokens, 1)
        places = np.arange(len(alone))
        best = alone.argmax(axis=1)
        for size in SIZES[1:]:
            change = answer_logits(engine, prompt, end.tokens, size) - alone
            against = change[places, best][:, None] - change
            moved[size] = [
                max(moved[size][0], float(abs(change).max())),
                max(moved[size][1], float(abs(against).max())),
            ]
    return {
        "answers": len(ends),
        "largest_logit_change": {size: change for size, (change, _) in moved.items()},
        "largest_change_of_a_margin": {size: change for size, (_, change) in moved.items()},
    }


def differences(
    engine: LlamaEngine, prompts: Sequence[Sequence[int]], plain: Sequence[Generated], ends: Sequence[Generated]
) -> list[Difference]:
    """The first token of each answer that differs from plain, with what batch sizes do to it."""
    found: list[Difference] = []
    for prompt, a, b in zip(prompts, plain, ends, strict=True):
        if a.tokens == b.tokens:
            continue
        place = common_prefix_length(a.tokens, b.tokens)
        mine, other = _said_at(engine, a, place), _said_at(engine, b, place)
        margins = [
            float(row[mine].max() - row[other].max())
            for row in (answer_logits(engine, prompt, a.tokens[:place], size)[-1] for size in SIZES)
        ]
        recut = _agree_longer(engine, a, b, place)
        found.append(Difference(recut, margins[0], max(margins) - min(margins)))
    return found


def main() -> None:
    """Decode on every side and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=shipped_model_path("coalm-nano.Q8_0.gguf"))
    parser.add_argument("--data-dir", type=Path, help="take real requests")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--together", type=int, default=8)
    parser.add_argument(
        "--noise", type=int, default=30, help="answers whose logits are computed in batches of all sizes"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    with LlamaEngine.load(asked.model, threads=asked.threads, sequences=asked.together) as engine:
        wanted = Sampling(max_tokens=96)
        requests = [Request(prompt, wanted, grammar) for prompt, grammar in questions(engine, asked.data_dir, asked.n)]
        prompts = [request.prompt for request in requests]
        plain = decoded(engine, [replace(request, drafts=False) for request in requests], 1)
        sides = {
            "drafts": decoded(engine, requests, 1),
            "together": decoded(engine, requests, asked.together),
            "masked": decoded(engine, [masked(request) for request in requests], 1),
        }
        step = max(1, len(plain) // asked.noise)
        noise = deviations(engine, prompts[::step], plain[::step])
        differing = {side: differences(engine, prompts, plain, sides[side]) for side in ("drafts", "together")}
    result = summary(asked.model.name, {"plain": plain, **sides}) | {
        "batch_noise": noise,
        "first_differences": {side: judged(found, noise) for side, found in differing.items()},
    }
    result |= provenance()
    print(json.dumps(result))
    if asked.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def summary(model: str, sides: dict[str, list[Generated]]) -> dict[str, object]:
    """How many answers differ from plain, and what each side took."""
    plain, others = sides["plain"], {side: ends for side, ends in sides.items() if side != "plain"}
    lengths = [length for end in sides["drafts"] for length in end.counts.accepted]
    return {
        "benchmark": "decoding_lossless",
        "model": model,
        "n": len(plain),
        "answers_that_differ": {
            side: sum(a.tokens != b.tokens for a, b in zip(plain, ends, strict=True)) for side, ends in others.items()
        },
        "texts_that_differ": {
            side: sum(a.text != b.text for a, b in zip(plain, ends, strict=True)) for side, ends in others.items()
        },
        "tokens": sum(len(end.tokens) for end in plain),
        "forced": sum(end.counts.forced for end in plain),
        "refused": sum(end.counts.refusals for end in plain),
        "refused_masked": sum(end.counts.refusals for end in sides["masked"]),
        "drafted": sum(end.counts.drafted for end in sides["drafts"]),
        "accepted": sum(lengths),
        "accepted_lengths": {length: lengths.count(length) for length in sorted(set(lengths))},
        "decode_s": {side: sum(end.timings.decode_s for end in ends) for side, ends in sides.items()},
    }


def masked(request: Request) -> Request:
    """The same under GBNF alone."""
    assert isinstance(request.grammar, Grammar)
    return replace(request, drafts=False, grammar=request.grammar.gbnf)


def _agree_longer(engine: LlamaEngine, a: Generated, b: Generated, place: int) -> bool:
    """Whether two texts agree up to the end of the shorter of the tokens at which they part."""
    left, right = (b"".join(map(engine.token_bytes, end.tokens[place:])) for end in (a, b))
    if not left or not right:
        return False
    shorter = min(len(engine.token_bytes(end.tokens[place])) for end in (a, b))
    return left[:shorter] == right[:shorter]


def _said_at(engine: LlamaEngine, end: Generated, place: int) -> list[int]:
    """The token at a place of an answer; behind its end, the tokens that may have ended it."""
    ends = [token for token in range(engine.info.vocabulary_size) if engine.is_end(token)]
    return [end.tokens[place]] if place < len(end.tokens) else ends


def judged(found: Sequence[Difference], noise: dict[str, object]) -> dict[str, object]:
    """How many of the first differences are smaller than what batch sizes were seen to do, and the largest margin."""
    changes = noise["largest_change_of_a_margin"]
    assert isinstance(changes, dict)
    most = max(changes.values())
    chosen = [one for one in found if not one.recut]
    return {
        "count": len(found),
        "cut_otherwise_before": len(found) - len(chosen),
        "within_noise": sum(abs(one.margin) <= max(most, one.moved) for one in chosen),
        "beyond_noise": sum(abs(one.margin) > max(most, one.moved) for one in chosen),
        "largest_margin": max((abs(one.margin) for one in chosen), default=0.0),
    }


if __name__ == "__main__":
    main()
