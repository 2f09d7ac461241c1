"""How soon a cancel lands in an assistant's turn: time to its end, and tokens that still come.

usage: python benchmarks/assistant_cancel.py MODEL.gguf [--n 100] [--words "..."] [--threads N] [--keep]

Each trial asks, reads a random number of pieces and cancels, from the thread that reads; the rest of the turn is then
read to its end. The engine runs in this process and in one of its own, trial by trial in turn, on two assistants.
Pieces after the cancel are those that were underway and the one that was being computed. `token_ms` is the median time
between two pieces of the same turns. For a model of some size: coalm-nano is through before it is cancelled. One JSON
object is printed last; `--keep` appends it to results/assistant.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from coalm_lite import Assistant, Event, TextDelta, TurnDone
from coalm_lite.types import Sampling
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "assistant.jsonl"
WORDS = "Hello there! Could you please tell me everything that you can do for me in this town?"
MOST_READ = 12


@dataclass(frozen=True, slots=True)
class Trial:
    """One cancelled turn."""

    end_ms: float
    pieces_after: int
    token_ms: list[float]


def trial(assistant: Assistant, words: str, read: int) -> Trial | None:
    """The trial after `read` pieces; None when the turn was over before."""
    assistant.reset()
    events = assistant.send(words)
    times = [time.perf_counter() for event in _pieces(events, read) if event]
    if len(times) < read:
        return None
    began = time.perf_counter()
    assistant.cancel()
    rest = list(events)
    end_ms = 1000 * (time.perf_counter() - began)
    if not rest or not isinstance(rest[-1], TurnDone) or rest[-1].reason != "cancelled":
        return None
    after = sum(isinstance(event, TextDelta) for event in rest)
    return Trial(end_ms, after, [1000 * (b - a) for a, b in pairwise(times)])


def _pieces(events: Iterator[Event], count: int) -> Iterator[Event]:
    found = 0
    while found < count:
        event = next(events)
        if isinstance(event, TurnDone):
            return
        if isinstance(event, TextDelta):
            found += 1
            yield event


def summary(trials: list[Trial]) -> dict[str, object]:
    """Medians and extremes of one side."""
    ends = sorted(each.end_ms for each in trials)
    after = [each.pieces_after for each in trials]
    return {
        "n": len(trials),
        "token_ms_median": statistics.median(ms for each in trials for ms in each.token_ms),
        "end_ms_median": statistics.median(ends),
        "end_ms_p95": ends[int(0.95 * (len(ends) - 1))],
        "end_ms_max": ends[-1],
        "pieces_after_median": statistics.median(after),
        "pieces_after_max": max(after),
    }


def main() -> None:
    """Measure both sides, print the row, append it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--words", default=WORDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    draw = random.Random(0)
    found: dict[bool, list[Trial]] = {False: [], True: []}
    sampling = Sampling(max_tokens=200)
    options = {"threads": wanted.threads, "sampling": sampling, "context_tokens": 1024}
    with (
        Assistant(wanted.model, isolate=False, **options) as inside,
        Assistant(wanted.model, isolate=True, **options) as apart,
    ):
        for _ in range(wanted.n):
            for isolate, assistant in ((False, inside), (True, apart)):
                done = trial(assistant, wanted.words, draw.randint(2, MOST_READ))
                if done is not None:
                    found[isolate].append(done)
    row = {
        "benchmark": "assistant_cancel",
        "model": Path(wanted.model).name,
        "threads": wanted.threads,
        "in_process": summary(found[False]),
        "isolated": summary(found[True]),
    } | provenance()
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
