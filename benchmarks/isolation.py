"""An engine in a process of its own: what its crashes do to the app, and what the isolation costs.

usage: python benchmarks/isolation.py crashes [MODEL.gguf] [--n 100]
       python benchmarks/isolation.py overhead [MODEL.gguf] [--n 20] [--tokens 64] [--threads N]

`crashes`: n times the child is killed (SIGKILL) and aborted (SIGABRT) by turns in the middle of an answer. Counted are
those that were an EngineCrashed within 2 s, and the next requests that gave the right answer; their times are stated.

`overhead`: the same requests to a desk in this process and to an isolated one, by turns, greedy, without drafts. A
prompt has 400 tokens of which all but 4 are held from before, so that the time to the first token is a batch's and
the way there, not the prompt's. Times are the caller's, from asking to the first piece, and from there to the end for
each further token. `outside_s` is the part of the first that the engine itself did not see. Beside them, the time that
the tokens of a prompt and of a long text take, and what a vocabulary of its own would cost the app instead.

One JSON row a measurement on standard output, and last one object for benchmarks/results/isolation.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from coalm_lite.app.desks import AppDesk
from coalm_lite.app.isolated import IsolatedDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.opening import open_desk
from coalm_lite.decoding.requests import Generated, Piece, Request
from coalm_lite.errors import EngineCrashed
from coalm_lite.runtime.llamacpp import LlamaVocabulary
from coalm_lite.types import Sampling, Segment
from rows import provenance

EMBEDDED = Path(__file__).parent.parent / "coalm_lite" / "models" / "coalm-nano.Q8_0.gguf"
LIMIT_S = 2.0
PROMPT_TOKENS, NEW_TOKENS = 400, 4
ENDLESS = 'root ::= [a-z]{1,9} " " root'
WORDS = "Is there a cheap hotel in the north of the town, with parking and internet, for four people from Friday? "
SHORT_TEXT, LONG_TEXT = WORDS * 16, WORDS * 180


@dataclass(frozen=True, slots=True)
class Crash:
    """One end of a child: how long the error took, and how long the next answer."""

    how: str
    pieces: int
    error: str
    error_s: float
    next_right: bool
    next_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as its caller saw it."""

    trial: int
    isolated: bool
    ttft_s: float
    outside_s: float
    token_s: float
    tokens: int


def crash(desk: IsolatedDesk, trial: int, good: Request, right: str) -> Crash:
    """End the child in the middle of an answer, see what the caller gets, and ask again."""
    how = signal.SIGKILL if trial % 2 else signal.SIGABRT
    answer = desk.answer(Request([5, 6, 7 + trial % 50], Sampling(max_tokens=1500), ENDLESS, drafts=False))
    pieces = random.Random(trial).randrange(1, 300)
    for _ in range(pieces):
        next(answer)
    if desk.pid is None:
        raise RuntimeError("there is no child in the middle of an answer")
    os.kill(desk.pid, how)
    began, error = time.perf_counter(), "none"
    try:
        for _ in answer:
            pass
    except EngineCrashed as crashed:
        error = crashed.ending
    ended = time.perf_counter()
    *_, last = desk.answer(good)
    is_right = isinstance(last, Generated) and last.text == right
    return Crash(how.name, pieces, error, ended - began, is_right, time.perf_counter() - ended)


def crashes(model: Path, n: int) -> dict[str, object]:
    """Crash n children of one desk."""
    rows = []
    with open_desk(ModelSpec(path=model)) as desk:
        if not isinstance(desk, IsolatedDesk):
            raise TypeError("the desk is not isolated")
        good = Request(desk.tokenize((Segment(WORDS),)), Sampling(max_tokens=20))
        *_, last = desk.answer(good)
        for trial in range(n):
            rows.append(crash(desk, trial, good, last.text))
            print(json.dumps(asdict(rows[-1])))
        restarts = desk.state.restarts
    in_time = [row for row in rows if row.error.startswith(f"was ended by {row.how}") and row.error_s < LIMIT_S]
    return {
        "benchmark": "isolation_crashes",
        "unit": "s",
        "n": n,
        "crashed_in_time": len(in_time),
        "next_right": sum(row.next_right for row in rows),
        "restarts": restarts,
        "error_s": spread([row.error_s for row in rows]),
        "next_s": spread([row.next_s for row in rows]),
        "model": model.name,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def answered(desk: AppDesk, trial: int, tokens: int) -> Answer:
    """One answer to a prompt whose end is new."""
    numbers = random.Random(1)
    held = [numbers.randrange(300, 4000) for _ in range(PROMPT_TOKENS - NEW_TOKENS)]
    new = [random.Random(trial).randrange(300, 4000) for _ in range(NEW_TOKENS)]
    began = time.perf_counter()
    first = 0.0
    for event in desk.answer(Request([*held, *new], Sampling(max_tokens=tokens), drafts=False)):
        if isinstance(event, Piece):
            first = first or time.perf_counter()
    took, timings = time.perf_counter() - first, event.timings
    ttft = first - began
    further = timings.generated_tokens - 1
    isolated = isinstance(desk, IsolatedDesk)
    return Answer(trial, isolated, ttft, ttft - timings.ttft_s, took / max(1, further), timings.generated_tokens)


def overhead(model: Path, n: int, tokens: int, threads: int | None) -> dict[str, object]:
    """The same requests to both desks by turns."""
    spec = ModelSpec(path=model, threads=threads)
    rows: list[Answer] = []
    with open_desk(spec, isolate=False) as shared, open_desk(spec) as isolated:
        for desk in (shared, isolated):
            answered(desk, -1, tokens)
        for trial in range(n):
            for desk in (shared, isolated) if trial % 2 else (isolated, shared):
                rows.append(answered(desk, trial, tokens))
                print(json.dumps(asdict(rows[-1])), flush=True)
        reading = {
            f"tokenize_{name}_{kind}_s": timed(lambda desk=desk, text=text: desk.tokenize((Segment(text),)))
            for name, text in (("short", SHORT_TEXT), ("long", LONG_TEXT))
            for kind, desk in (("shared", shared), ("isolated", isolated))
        }
        counts = [len(shared.tokenize((Segment(text),))) for text in (SHORT_TEXT, LONG_TEXT)]
    here = sorted((row for row in rows if not row.isolated), key=lambda row: row.trial)
    there = sorted((row for row in rows if row.isolated), key=lambda row: row.trial)
    pairs = [(one, other) for one, other in zip(here, there, strict=True) if one.tokens == other.tokens]
    long_ones = [(one, other) for one, other in pairs if 2 * one.tokens > tokens]  # an answer may end early
    return {
        "benchmark": "isolation_overhead",
        "unit": "s",
        "n": len(pairs),
        "ttft_shared_s": spread([row.ttft_s for row in here]),
        "ttft_isolated_s": spread([row.ttft_s for row in there]),
        "ttft_more_s": spread([other.ttft_s - one.ttft_s for one, other in pairs]),
        "outside_shared_s": spread([row.outside_s for row in here]),
        "outside_isolated_s": spread([row.outside_s for row in there]),
        "long_answers": len(long_ones),
        "token_shared_s": spread([one.token_s for one, _ in long_ones]),
        "token_isolated_s": spread([other.token_s for _, other in long_ones]),
        "token_ratio": spread([other.token_s / one.token_s for one, other in long_ones]),
        "token_ratio_of_medians": statistics.median(other.token_s for _, other in long_ones)
        / statistics.median(one.token_s for one, _ in long_ones),
        "text_tokens": counts,
        **reading,
        **vocabulary_cost(model),
        "model": model.name,
    }


def timed(call: Callable[[], object]) -> dict[str, float]:
    """The spread of 30 calls' times."""
    times = []
    for _ in range(30):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return spread(times)


def vocabulary_cost(model: Path) -> dict[str, float]:
    """What the app would pay at its start to read tokens itself."""
    began = time.perf_counter()
    with LlamaVocabulary(model):
        return {"vocabulary_load_s": time.perf_counter() - began}


def main() -> None:
    """Measure, print the rows, and the summary last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("crashes", "overhead"))
    parser.add_argument("model", nargs="?", type=Path, default=EMBEDDED)
    parser.add_argument("--n", type=int)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int)
    wanted = parser.parse_args()
    if wanted.part == "crashes":
        found = crashes(wanted.model, wanted.n or 100)
    else:
        found = overhead(wanted.model, wanted.n or 20, wanted.tokens, wanted.threads)
    print(json.dumps(found | provenance()))


if __name__ == "__main__":
    main()
