"""Calls a second with a model's real outputs, against llama-server with the same grammar and the same prompt tokens.

usage: python benchmarks/decoding_server.py [MODEL.gguf] --data-dir DATA --server llama-server [--n 60]
       [--sources town snips multiwoz apibank bfcl] [--threads N] [--keep]

Requests and tools are those of real_requests.py; both sides answer greedily under the GBNF of the tools, each prompt
being in the KV cache before the clock starts. Sides take turns, the first one of a request changing; requests whose
answers differ (the two choose otherwise at a refused token or a tie) are counted and left out of the ratio, or one side
would have more to write. `wall`: what a caller waits, over HTTP with one kept connection; `own`: llama-server's own
account of its time, without HTTP and JSON; `cpu`: processor time of the process that answers (Linux), which other work
on the machine spoils less, and which means the same as `own` with one thread. The last line is one JSON object;
`--keep` appends it to results/decoding.jsonl.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real_requests import ANSWER_TOKENS, SOURCES, Asked, requests

from coalm_lite import dialects
from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.grammar import Grammar
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Sampling
from rows import provenance

RESULTS = Path(__file__).with_name("results") / "decoding.jsonl"
CONTEXT = 2048
STARTS_WITHIN_S = 120
SIDES = ("wall", "own", "cpu")


@dataclass(frozen=True, slots=True)
class Served:
    """What llama-server wrote, how long a caller waited, how long it says that it took, and its processor time."""

    text: str
    wall_s: float
    own_s: float
    cpu_s: float


class Server:
    """A llama-server asked over one connection."""

    def __init__(self, port: int, process: int) -> None:
        self._threads = Path(f"/proc/{process}/task")
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def completed(self, prompt: Sequence[int], gbnf: str, tokens: int) -> Served:
        """The greedy answer under the grammar."""
        body = {"prompt": [*prompt], "grammar": gbnf, "n_predict": tokens, "temperature": 0, "cache_prompt": True}
        began, cpu = time.perf_counter(), self._cpu_s()
        self._connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        found = json.loads(self._connection.getresponse().read())
        wall_s = time.perf_counter() - began
        timings = found["timings"]
        own_s = (timings["prompt_ms"] + timings["predicted_ms"]) / 1000
        return Served(found["content"], wall_s, own_s, self._cpu_s() - cpu)

    def _cpu_s(self) -> float:
        """Of all its threads, in nanoseconds' resolution; 0 where the system does not tell."""
        found = [path.read_text().split()[0] for path in self._threads.glob("*/schedstat")]
        return sum(map(int, found)) / 1e9


@contextmanager
def server(program: Path, model: Path, threads: int) -> Iterator[Server]:
    """A llama-server on the model, ended when it is no longer needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program,
        "-m",
        model,
        "-c",
        CONTEXT,
        "-t",
        threads,
        "-tb",
        threads,
        "--port",
        port,
        "-np",
        1,
        "--no-webui",
    ]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int) -> None:
    for _ in range(STARTS_WITHIN_S * 2):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.5)
    raise RuntimeError(f"llama-server did not start within {STARTS_WITHIN_S} s")


def ours(engine: LlamaEngine, prompt: Sequence[int], grammar: Grammar) -> tuple[Generated, float, float]:
    """Our greedy answer, the seconds until it is there, and the processor time."""
    began, cpu = time.perf_counter(), time.process_time()
    *_, end = answer(engine, Request(prompt, Sampling(max_tokens=ANSWER_TOKENS), grammar))
    assert isinstance(end, Generated)
    return end, time.perf_counter() - began, time.process_time() - cpu


def measured(engine: LlamaEngine, peer: Server, asked: Asked, number: int) -> dict[str, object]:
    """One request on both sides; the prompt is computed, and the peer's grammar was asked for, before the clock."""
    prompt, grammar = asked.prompt(engine), dialects.get(asked.dialect).compiled(asked.tools)
    engine.prefill(prompt, Cancel())
    peer.completed(prompt, grammar.gbnf, 1)
    if number % 2:
        end, ours_s, ours_cpu_s = ours(engine, prompt, grammar)
        theirs = peer.completed(prompt, grammar.gbnf, ANSWER_TOKENS)
    else:
        theirs = peer.completed(prompt, grammar.gbnf, ANSWER_TOKENS)
        end, ours_s, ours_cpu_s = ours(engine, prompt, grammar)
    return {
        "source": asked.source,
        "prompt_tokens": len(prompt),
        "tokens": len(end.tokens),
        "forced": end.counts.forced,
        "refused": end.refusals,
        "drafted": end.counts.drafted,
        "accepted": end.counts.accepted,
        "ours_s": ours_s,
        "wall_s": theirs.wall_s,
        "own_s": theirs.own_s,
        "ours_cpu_s": ours_cpu_s,
        "cpu_s": theirs.cpu_s,
        "same": end.text == theirs.text,
        "call": bool(grammar.accepts(end.text) and dialects.get(asked.dialect).parse(end.text).calls),
    }


def main() -> None:
    """Measure every request on both sides and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=shipped_model_path("coalm-nano.Q8_0.gguf"))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--n", type=int, default=60, help="requests of each source")
    parser.add_argument("--sources", nargs="+", default=[*SOURCES], choices=SOURCES)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    rows: list[dict[str, object]] = []
    with LlamaEngine.load(wanted.model, context_tokens=CONTEXT, threads=wanted.threads) as engine:
        found = requests(engine, wanted.data_dir, wanted.sources, wanted.n)
        threads = engine.options.threads
        with server(wanted.server, wanted.model, threads) as peer:
            for number, asked in enumerate([found[0], *found]):
                row = measured(engine, peer, asked, number)
                if number:  # the first only warms up
                    rows.append(row)
                    print(json.dumps(row))
    result = {"benchmark": "decoding_server", "model": wanted.model.name, "threads": threads} | summary(rows)
    print(json.dumps(result | provenance()))
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result | provenance()) + "\n")


def summary(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """Ratios over the requests with the same answer; shares over all."""
    same = [row for row in rows if row["same"]]
    calls = [row for row in same if row["call"]]
    return {
        "n": len(rows),
        "requests": Counter(str(row["source"]) for row in rows),
        "same_answer": len(same),
        "faster_than": {name: ratios(same, name) for name in SIDES},
        "faster_than_calls_only": {"n": len(calls)} | {name: ratios(calls, name) for name in SIDES},
        "answers_per_s": len(rows) / _sum(rows, "ours_s"),
        "answer_tokens": _sum(rows, "tokens"),
        "forced_share": _sum(rows, "forced") / _sum(rows, "tokens"),
        "refused_share": _sum(rows, "refused") / _sum(rows, "tokens"),
        "refused_by_source": {
            source: _sum(part, "refused") / _sum(part, "tokens")
            for source in SOURCES
            if (part := [row for row in rows if row["source"] == source])
        },
        "drafted": _sum(rows, "drafted"),
        "accepted_lengths": dict(sorted(Counter(length for row in rows for length in _lengths(row)).items())),
    }


def ratios(rows: Sequence[dict[str, object]], side: str) -> dict[str, float]:
    """How many times as many answers a second are ours: over all time, and the median and range over requests."""
    own = "ours_cpu_s" if side == "cpu" else "ours_s"
    paired = [float(str(row[f"{side}_s"])) / float(str(row[own])) for row in rows]
    quartiles = statistics.quantiles(paired, n=4)
    return {
        "of_all_time": _sum(rows, f"{side}_s") / _sum(rows, own),
        "median": statistics.median(paired),
        "quartile_1": quartiles[0],
        "quartile_3": quartiles[2],
        "low": min(paired),
        "high": max(paired),
    }


def _sum(rows: Sequence[dict[str, object]], name: str) -> float:
    return sum(float(str(row[name])) for row in rows)


def _lengths(row: dict[str, object]) -> list[int]:
    found = row["accepted"]
    assert isinstance(found, list)
    return found


if __name__ == "__main__":
    main()
