"""Calls a second: BFCL gold calls replayed under their grammar, against llama-cpp-python's grammar and llama-server.

usage: python benchmarks/decoding_speed.py MODEL.gguf --data-dir DATA [--n 100] [--server llama-server] [--keep]

Every side is steered to the same gold text (`hammer` form), so that the weights do not matter; the prompt, with the
real question, is in the KV cache before the clock starts. Sides, in turn for each call: `ours` (grammar, forced text,
drafts), `ours plain` (token by token, no grammar), `llama-cpp-python` (in its own loop, under the grammar that it makes
of the same schemas, and under ours) and `llama-server` (as many free tokens, `ignore_eos`). A call that a side's
grammar refuses is left out of that side's ratio. A row a call; last one JSON object with the median of the paired
ratios, which `--keep` appends to results/decoding.jsonl.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from gold_answers import bfcl, read_lines

from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.measure import Steered
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.dialects import hammer
from coalm_lite.grammar import Grammar
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Sampling, Segment, ToolSpec
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"
CONTEXT = 2048
LONGEST_PROMPT, LONGEST_ANSWER = 400, 200  # tokens
SEED = 5
SPARE_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Replay:
    """A prompt, the answer that is steered to, and its grammar, as ours and as the schema that llama.cpp reads."""

    prompt: list[int]
    gold: list[int]
    grammar: Grammar
    schema: str


def replays(engine: LlamaEngine, folder: Path, count: int) -> list[Replay]:
    """`count` items with gold calls, drawn by a seed from all whose prompt is short."""
    asked = questions(folder)
    drawn = random.Random(SEED).sample(sorted(asked), len(asked))
    places = {name: place for place, name in enumerate(drawn[: 3 * count])}
    found: list[tuple[int, Replay]] = []
    for name, tools, golds in bfcl(folder, 10**9, places):
        calls = tuple(variants[0] for variants in golds)
        text = hammer.render_reply(Message("assistant", calls=calls))
        prompt = engine.tokenize(hammer.render([Message("user", asked[name])], tools))
        gold = engine.tokenize((Segment(text),))
        grammar = hammer.compiled(tools)
        if calls and grammar.accepts(text) and len(prompt) < LONGEST_PROMPT and len(gold) < LONGEST_ANSWER:
            found.append((places[name], Replay(prompt, gold, grammar, own_schema(tools))))
    return [replay for _, replay in sorted(found, key=lambda pair: pair[0])[:count]]


def questions(folder: Path) -> dict[str, str]:
    """What the user says, by the id of each item of one turn that has gold calls."""
    paths = [path for path in sorted(folder.glob("possible_answer/*.json.gz")) if "multi_turn" not in path.name]
    items = (item for path in paths for item in read_lines(folder / path.name))
    return {item["id"]: item["question"][0][-1]["content"] for item in items}


def own_schema(tools: Sequence[ToolSpec]) -> str:
    """The calls of these tools as JSON Schema, for what makes its own grammar of it."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    return json.dumps({"type": "array", "items": {"anyOf": calls}})


class Ours:
    """Our own decoding, with or without what makes it fast."""

    def __init__(self, engine: LlamaEngine) -> None:
        self._engine = engine

    def run(self, replay: Replay, grammar: str | Grammar | None, drafts: bool) -> Generated:
        """The gold answer, decoded; the prompt is there before."""
        prompt, gold = replay.prompt, replay.gold
        self._engine.prefill(prompt, Cancel())
        most = len(gold) + (SPARE_TOKENS if grammar else 0)  # a grammar ends by itself, and early near a limit
        request = Request(prompt, Sampling(max_tokens=most), grammar, drafts=drafts,
                          sampler=Steered(gold, len(prompt)))  # fmt: skip
        *_, end = answer(self._engine, request)
        if not isinstance(end, Generated) or list(end.tokens) != gold:
            raise RuntimeError("the replay left the gold text")
        return end


class Peer:
    """llama-cpp-python's own loop and grammar."""

    def __init__(self, model: Path, threads: int) -> None:
        self._llama = llama_cpp.Llama(
            str(model), n_ctx=CONTEXT, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._prompt: list[int] = []

    def own(self, replay: Replay) -> float:
        """The gold answer under the grammar that llama-cpp-python makes of the schema; NaN where that refuses it."""
        try:
            return self._seconds(replay, llama_cpp.LlamaGrammar.from_json_schema(replay.schema, verbose=False))
        except (RuntimeError, ValueError, KeyError):  # left the text, or a schema that it cannot read
            return math.nan

    def given(self, replay: Replay) -> float:
        """The gold answer under our grammar."""
        return self._seconds(replay, llama_cpp.LlamaGrammar.from_string(replay.grammar.gbnf, verbose=False))

    def _seconds(self, replay: Replay, made: llama_cpp.LlamaGrammar) -> float:
        """The gold answer under a grammar, the prompt being there."""
        prompt, gold = replay.prompt, replay.gold
        if prompt != self._prompt:  # else it is there still: `generate` keeps what its prompt begins with
            self._llama.reset()
            self._llama.eval(prompt)
            self._prompt = prompt

        def steer(ids: Any, scores: Any) -> Any:
            place = len(ids) - len(prompt)
            steered = np.array(scores)
            steered[gold[min(place, len(gold) - 1)]] += 1e4
            return steered

        processors = llama_cpp.LogitsProcessorList([steer])
        began = time.perf_counter()
        tokens = self._llama.generate(prompt, temp=0.0, repeat_penalty=1.0, grammar=made, logits_processor=processors)
        said = list(islice(tokens, len(gold)))
        seconds = time.perf_counter() - began
        if said != gold:
            raise RuntimeError("llama-cpp-python left the gold text")
        return seconds


@contextmanager
def server(program: Path, model: Path, threads: int) -> Iterator[Callable[[Replay], float]]:
    """A llama-server; gives what asks it for as many free tokens as the gold answer has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "-m", model, "-c", str(CONTEXT), "-t", str(threads), "-tb", str(threads), "--port", str(port),
               "-np", "1", "--no-webui"]  # fmt: skip
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"

    def seconds(replay: Replay) -> float:
        prompt, gold = replay.prompt, replay.gold
        for count in (1, len(gold)):  # the first puts the prompt into the cache
            body = {"prompt": prompt, "n_predict": count, "ignore_eos": True, "cache_prompt": True, "temperature": 0}
            asked = urllib.request.Request(
                f"{address}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            began = time.perf_counter()
            with urllib.request.urlopen(asked, timeout=600) as reply:
                json.load(reply)
        return time.perf_counter() - began

    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        yield seconds
    finally:
        process.terminate()
        process.wait(30)


def ratios(rows: Sequence[dict[str, float]], side: str) -> dict[str, float]:
    """How much faster `ours` is than another side: the median over calls, its range, and that of all time together."""
    held = [row for row in rows if not math.isnan(row[side])]
    paired = [row[side] / row["ours"] for row in held]
    total = sum(row[side] for row in held) / sum(row["ours"] for row in held)
    spread = {"median": statistics.median(paired), "low": min(paired), "high": max(paired)}
    return spread | {"of_all_time": total, "n": len(held)}


def main() -> None:
    """Measure every call on every side, print the rows, and the summary last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--server", type=Path)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    with LlamaEngine.load(asked.model, context_tokens=CONTEXT, threads=asked.threads) as engine:
        threads = engine.options.threads
        items = replays(engine, asked.data_dir / "bfcl", asked.n)
        ours, peer = Ours(engine), Peer(asked.model, threads)
        sides = {"llama-cpp-python": peer.own, "llama-cpp-python, our grammar": peer.given}
        if asked.server is None:
            rows, ends = measured(items, ours, sides)
        else:
            with server(asked.server, asked.model, threads) as free:
                rows, ends = measured(items, ours, sides | {"llama-server": free})
    result = summary(rows, ends, asked.model, threads)
    print(json.dumps(result))
    if asked.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def measured(
    items: Sequence[Replay], ours: Ours, others: dict[str, Callable[[Replay], float]]
) -> tuple[list[dict[str, float]], list[Generated]]:
    """Each call on each side, ours first and last in turn; the first call only warms up."""
    rows: list[dict[str, float]] = []
    ends: list[Generated] = []
    for number, replay in enumerate([items[0], *items]):
        grammar = replay.grammar
        sides: dict[str, Callable[[], float]] = {
            "ours plain": lambda replay=replay: ours.run(replay, None, False).timings.total_s,
            **{name: lambda side=side, replay=replay: side(replay) for name, side in others.items()},
        }
        end = None
        row: dict[str, float] = {}
        if number % 2:
            end = ours.run(replay, grammar, True)
        for name in sides if number % 2 else reversed(sides):
            row[name] = sides[name]()
        end = end or ours.run(replay, grammar, True)
        row["ours"] = end.timings.total_s
        if number:
            rows.append(row)
            ends.append(end)
            print(json.dumps({"call": number, "tokens": len(replay.gold), "forced": end.counts.forced, **row}))
    return rows, ends


def summary(rows: list[dict[str, float]], ends: list[Generated], model: Path, threads: int) -> dict[str, object]:
    """Ratios, shares and draft lengths, with what is needed to measure again."""
    tokens = sum(len(end.tokens) for end in ends)
    return {
        "benchmark": "decoding_speed",
        "n": len(rows),
        "model": model.name,
        "threads": threads,
        "faster_than": {side: ratios(rows, side) for side in rows[0] if side != "ours"},
        "calls_per_s": len(rows) / sum(row["ours"] for row in rows),
        "answer_tokens": tokens,
        "forced_share": sum(end.counts.forced for end in ends) / tokens,
        "refused_share": sum(end.counts.refusals for end in ends) / tokens,
        "drafted": sum(end.counts.drafted for end in ends),
        "accepted_lengths": [length for end in ends for length in end.counts.accepted],
    } | provenance()


if __name__ == "__main__":
    main()
