"""Requests a second with tools, eight clients at once: `coalm-lite serve` beside llama-server on the same file.

usage: python benchmarks/serve_speed.py --server llama-server [--rounds 5] [--clients 8] [--threads 2]
       [--parallel 4] [--keep]

Each client sends the 55 requests of nano/requests.py (40 that want a call of the demo town's nine tools, 15 small talk)
in an order of its own, one after the other over one connection, greedily, at most 96 tokens. Ours are asked as any
client asks: POST /v1/chat/completions with messages and tools; the prompt, its tokens and the check of the calls are
the server's work. llama-server gets the finished prompt tokens at /completion, once with the GBNF of the same tools
(`grammar`, which does what ours does: calls held valid) and once without any (`free`); its own tool calling has no form
that this model was trained on. It has `--clients` slots of 2,048 tokens, ours `--parallel` (by as many engines as
threads); both have the same threads, and their prompt caches.
All servers run through the whole time and are asked in turns; one unmeasured turn each comes first. A row tells
requests a second, processor time a request (which other work on the machine spoils less; threads that wait for each
other count), the share of valid answers (words, or calls that the tools' own validation takes), and ours / theirs
by round. The last line is one JSON object; `--keep` appends it to results/serve_speed.jsonl.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # nano's recipe is not installed with the package

import psutil

from coalm_lite import demo
from coalm_lite.dialects import cra
from coalm_lite.errors import OutputError, ToolError
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.tools import Toolbox
from coalm_lite.types import Message, ToolCall
from nano.requests import REQUESTS, SMALL_TALK
from rows import provenance, tell

RESULTS = Path(__file__).with_name("results") / "serve_speed.jsonl"
MODEL = "coalm-nano.Q8_0.gguf"
CONTEXT = 2048
TOKENS = 96
KEY = "a-key-of-the-benchmark"
STARTS_WITHIN_S = 120
BOX = Toolbox(demo.tools())
SAID = (*(text for text, _ in REQUESTS), *SMALL_TALK)


@dataclass(frozen=True, slots=True)
class Side:
    """A server: where it is, what is sent for a request, and whether an answer is valid."""

    name: str
    process: psutil.Process
    port: int
    path: str
    body: Callable[[str], bytes]
    valid: Callable[[dict[str, object]], bool]


def main() -> None:
    """Measure, print, keep."""
    options = server_options(__doc__).parse_args()
    with ExitStack() as running:
        sides = [_ours(running, options, in_process) for in_process in (False, True)]
        sides += _theirs(running, options)
        for side in sides:
            one_round(side, options.clients, 0)
        rounds = [measured(sides, options.clients, number) for number in range(1, options.rounds + 1)]
    tell(summary(rounds, options), RESULTS if options.keep else None)


def server_options(described: str | None) -> argparse.ArgumentParser:
    """The options of benchmarks that put `serve` beside llama-server."""
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, required=True, help="llama-server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parallel", type=int, default=4, help="answers at once of ours; the other clients wait")
    parser.add_argument("--keep", action="store_true")
    return parser


def _ours(running: ExitStack, options: argparse.Namespace, in_process: bool) -> Side:
    port = free_port()
    command = [*serve_command(port, options.parallel, options.threads), *["--in-process"] * in_process]
    started = running.enter_context(process(command, port, "/health"))
    tools = tools_of()
    bodies = {
        said: json.dumps(
            {"model": "nano", "messages": [{"role": "user", "content": said}], "tools": tools, "max_tokens": TOKENS}
        )
        for said in SAID
    }
    name = "ours, engine in process" if in_process else "ours"
    return Side(name, started, port, "/v1/chat/completions", lambda said: bodies[said].encode(), _ours_valid)


def serve_command(port: int, parallel: int, threads: int) -> list[object]:
    """`coalm-lite serve` of coalm-nano."""
    command = [sys.executable, "-m", "coalm_lite.cli", "serve", "nano", "--port", port, "--api-key", KEY]
    return [*command, "--parallel", parallel, "--threads", threads, "-q"]


def peer_command(port: int, options: argparse.Namespace) -> list[object]:
    """llama-server on coalm-nano, with a slot for every client."""
    command = [options.server, "-m", shipped_model_path(MODEL), "--port", port, "--no-webui"]
    command += ["-c", CONTEXT * options.clients, "-np", options.clients]
    return [*command, "-t", options.threads, "-tb", options.threads]


def tools_of() -> list[dict[str, object]]:
    """The demo town's, as OpenAI's clients send them."""
    return [
        {"type": "function", "function": {"name": s.name, "description": s.description, "parameters": s.parameters}}
        for s in BOX.specs
    ]


def _ours_valid(answer: dict[str, object]) -> bool:
    choice = answer["choices"][0]  # type: ignore[index]
    calls = choice["message"].get("tool_calls") or []
    read = [ToolCall(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
    return all(map(_is_valid, read)) and (choice["finish_reason"] == "tool_calls") == bool(calls)


def _theirs(running: ExitStack, options: argparse.Namespace) -> list[Side]:
    """llama-server twice, with the grammar and without: each with a cache of its own."""
    path = shipped_model_path(MODEL)
    with LlamaEngine.load(path, threads=1) as engine:
        prompts = {said: engine.tokenize(cra.render([Message("user", said)], BOX.specs, True)) for said in SAID}
    grammar = cra.grammar(BOX.specs)
    sides = []
    for name, more in (("llama-server, grammar", {"grammar": grammar}), ("llama-server, free", {})):
        port = free_port()
        started = running.enter_context(process(peer_command(port, options), port, "/health"))
        bodies = {
            said: json.dumps({"prompt": tokens, "n_predict": TOKENS, "temperature": 0, "cache_prompt": True, **more})
            for said, tokens in prompts.items()
        }
        sides.append(Side(name, started, port, "/completion", lambda said, b=bodies: b[said].encode(), _theirs_valid))  # type: ignore[misc]
    return sides


def _theirs_valid(answer: dict[str, object]) -> bool:
    try:
        return all(map(_is_valid, cra.parse(str(answer["content"])).calls))
    except OutputError:
        return False


def _is_valid(call: ToolCall) -> bool:
    try:
        return BOX.validate(call) == call
    except ToolError:
        return False


@contextmanager
def process(command: Sequence[object], port: int, path: str) -> Iterator[psutil.Process]:
    """A server, ended when it is no longer needed."""
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        try:
            _wait_for(port, path)
            yield psutil.Process(started.pid)
        finally:
            started.terminate()
            started.wait(30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, path: str) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise RuntimeError(f"no server on port {port} within {STARTS_WITHIN_S} s")


def measured(sides: Sequence[Side], clients: int, number: int) -> dict[str, dict[str, float]]:
    """A round: every side once, another one first each time."""
    first = number % len(sides)
    found = {side.name: one_round(side, clients, number) for side in (*sides[first:], *sides[:first])}
    print(f"round {number}: " + ", ".join(f"{name} {one['rps']:.1f}/s" for name, one in found.items()), flush=True)
    return found


def one_round(side: Side, clients: int, seed: int) -> dict[str, float]:
    """All clients' requests to one side: requests a second, and the share of valid answers."""
    answers: list[bool] = []
    began, cpu_s = time.perf_counter(), _cpu_s(side.process)
    threads = [threading.Thread(target=_client, args=(side, seed * clients + at, answers)) for at in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(answers) != clients * len(SAID):
        raise RuntimeError(f"{side.name} answered {len(answers)} of {clients * len(SAID)} requests")
    return {
        "rps": len(answers) / seconds,
        "cpu_ms": (_cpu_s(side.process) - cpu_s) * 1000 / len(answers),
        "valid": sum(answers) / len(answers),
        "requests": len(answers),
    }


def _cpu_s(process: psutil.Process) -> float:
    """The processor time of a server and its engine's process."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def _client(side: Side, seed: int, answers: list[bool]) -> None:
    said = [*SAID]
    random.Random(seed).shuffle(said)
    connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=300)
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    for text in said:
        connection.request("POST", side.path, side.body(text), head)
        response = connection.getresponse()
        data = json.loads(response.read())
        answers.append(response.status == 200 and side.valid(data))
    connection.close()


def summary(rounds: Sequence[dict[str, dict[str, float]]], options: argparse.Namespace) -> dict[str, object]:
    """The row: a figure's median, lowest and highest."""
    names = list(rounds[0])
    peers = [name for name in names if name.startswith("llama-server")]
    own = [name for name in names if name not in peers]
    return {
        "benchmark": "serve_speed",
        "clients": options.clients,
        "threads": options.threads,
        "parallel": options.parallel,
        "rounds": len(rounds),
        "requests_a_round": int(rounds[0][names[0]]["requests"]),
        "rps": {name: spread([each[name]["rps"] for each in rounds]) for name in sorted(names)},
        "cpu_ms_a_request": {name: spread([each[name]["cpu_ms"] for each in rounds]) for name in sorted(names)},
        "valid": {name: min(each[name]["valid"] for each in rounds) for name in sorted(names)},
        "ratio": {
            f"{mine} / {peer}": spread([each[mine]["rps"] / each[peer]["rps"] for each in rounds])
            for mine in sorted(own)
            for peer in sorted(peers)
        },
        **provenance(),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Their median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


if __name__ == "__main__":
    main()
