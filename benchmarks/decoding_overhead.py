"""What a grammar adds to a token that it leaves free: the same tokens with it and without, block by block in turn.

usage: python benchmarks/decoding_overhead.py MODEL.gguf --data-dir DATA [--n 10] [--tokens 64] [--block 8]
       [--threads N] [--keep]

Each call writes a note (a free string) under the `hammer` grammar of an item of BFCL and the note's tool; the text is
the item's own descriptions, to which both sides are steered after they sampled as always. Both answers go on in turn
on one sequence, a block of tokens each, the first one of a pair changing; only blocks inside the string are measured,
where nothing is forced and nothing refused. Two figures: `wall`, the held time of a call by the free one, and `host`,
what is spent outside the model's computation (which noise spoils less). The last line is one JSON object; `--keep`
appends it to results/decoding.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gold_answers import bfcl

from coalm_lite.decoding.measure import Steered
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.decoding.scheduler import Scheduler
from coalm_lite.dialects import hammer
from coalm_lite.grammar import Grammar
from coalm_lite.runtime.base import Cancel, Stretch
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Sampling, Segment, ToolCall, ToolSpec
from rows import provenance

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"
CONTEXT = 2048
NOTE = ToolSpec(
    "write_note",
    "Writes a note.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)


class Timed(LlamaEngine):
    """Counts the seconds that the model's computation takes."""

    computed_s = 0.0

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> list[Logits]:
        began = time.perf_counter()
        rows = super().compute(stretches, cancel)
        self.computed_s += time.perf_counter() - began
        return rows


@dataclass(frozen=True, slots=True)
class Note:
    """A prompt, the tokens of a call that writes a long note, how many come before its text, and the grammar."""

    prompt: list[int]
    said: list[int]
    before: int
    grammar: Grammar


def notes(engine: LlamaEngine, folder: Path, tokens: int) -> Iterator[Note]:
    """Notes of at least so many tokens, over the tools of BFCL's items."""
    for _, tools, golds in bfcl(folder, 40):
        listed = [*tools, NOTE]
        words = " ".join(tool.description for tool in tools) + " " + json.dumps([tool.parameters for tool in tools])
        text = " ".join(words.replace('"', "").replace("\\", "").split())[: tokens * 8]
        prompt = engine.tokenize(hammer.render([Message("user", "Please write it down.")], listed))
        written = hammer.render_reply(Message("assistant", calls=(ToolCall("write_note", {"text": text}),)))
        said = engine.tokenize((Segment(written),))
        before = len(engine.tokenize((Segment(written[: written.index(text)]),))) + 2
        if golds and len(prompt) < 400 and len(said) > before + tokens:
            yield Note(prompt, said[: before + tokens], before, hammer.compiled(listed))


class Side:
    """One answer, gone on with step by step."""

    def __init__(self, engine: Timed, note: Note, grammar: Grammar | None) -> None:
        self._engine = engine
        self.refusals = 0
        self._scheduler = Scheduler(engine)
        sampler = Steered(note.said, len(note.prompt))
        room = Sampling(max_tokens=len(note.said) + 200)
        self._scheduler.submit(Request(note.prompt, room, grammar, drafts=False, sampler=sampler))
        self._written = 0
        self._ends = _ends(engine, note.said)

    @property
    def tokens(self) -> int:
        """How many tokens of the text have been given."""
        return sum(end <= self._written for end in self._ends)

    def go_on(self, until: int) -> tuple[float, float]:
        """Steps until so many tokens are written; seconds in all, and of them the model's computation."""
        began, computed = time.perf_counter(), self._engine.computed_s
        while self.tokens < until:
            for _, event in self._scheduler.step():
                if isinstance(event, Generated) or not hasattr(event, "text"):
                    raise RuntimeError("the answer ended before its text")
                self._written += len(event.text.encode())
        return time.perf_counter() - began, self._engine.computed_s - computed

    def close(self) -> None:
        """Leave it unfinished."""
        self._scheduler.close()


def _ends(engine: LlamaEngine, tokens: Sequence[int]) -> list[int]:
    lengths = [len(engine.token_bytes(token)) for token in tokens]
    return [sum(lengths[: count + 1]) for count in range(len(lengths))]


def measured(engine: Timed, note: Note, block: int, number: int) -> dict[str, float]:
    """Seconds of both sides over the note's text, in all and outside the model's computation."""
    engine.prefill(note.prompt, Cancel())
    sides = {"free": Side(engine, note, None), "held": Side(engine, note, note.grammar)}
    row = dict.fromkeys(("free", "held", "free_host", "held_host", "tokens"), 0.0)
    for side in sides.values():
        side.go_on(note.before)
    places = range(note.before + block, len(note.said), block)
    for count, until in enumerate(places):
        for name in ("free", "held") if (number + count) % 2 else ("held", "free"):
            seconds, computed = sides[name].go_on(until)
            row[name] += seconds
            row[f"{name}_host"] += seconds - computed
    for side in sides.values():
        side.close()
    return row | {"tokens": float(block * len(places))}


def main() -> None:
    """Measure the calls and print the overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--n", type=int, default=10, help="calls")
    parser.add_argument("--tokens", type=int, default=64, help="of each call's text")
    parser.add_argument("--block", type=int, default=8, help="tokens until the other side goes on")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    rows: list[dict[str, float]] = []
    with Timed.load(wanted.model, context_tokens=CONTEXT, threads=wanted.threads) as engine:
        found = [*islice(notes(engine, wanted.data_dir / "bfcl", wanted.tokens), wanted.n)]
        for number, note in enumerate([found[0], *found]):
            row = measured(engine, note, wanted.block, number)
            if number:  # the first only warms up
                rows.append(row)
                print(json.dumps(row | {"call": number, "load": os.getloadavg()[0]}))
    result = summary(rows) | {"benchmark": "decoding_overhead", "model": wanted.model.name, "block": wanted.block}
    print(json.dumps(result | provenance()))
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result | provenance()) + "\n")


def summary(rows: Sequence[dict[str, float]]) -> dict[str, object]:
    """The overhead by wall time and by what the host adds, both as shares of a free token's time."""
    wall = [row["held"] / row["free"] - 1 for row in rows]
    host = [(row["held_host"] - row["free_host"]) / row["free"] for row in rows]
    tokens = sum(row["tokens"] for row in rows)
    return {
        "n": len(rows),
        "tokens": int(tokens),
        "free_token_ms": 1000 * sum(row["free"] for row in rows) / tokens,
        "host_us_per_token": {
            side: 1e6 * sum(row[f"{side}_host"] for row in rows) / tokens for side in ("free", "held")
        },
        "wall_overhead": _spread(wall)
        | {"of_all_time": sum(r["held"] for r in rows) / sum(r["free"] for r in rows) - 1},
        "host_overhead": _spread(host),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


if __name__ == "__main__":
    main()
