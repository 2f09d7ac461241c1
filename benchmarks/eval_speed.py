"""Items a minute of a base run against llama-server, what prompts share, and whether batches change results.

usage: python benchmarks/eval_speed.py server --data-dir DIR --server llama-server [--suite apibank,bfcl:simple]
       python benchmarks/eval_speed.py shared --data-dir DIR [--suite multiwoz,bfcl:single_turn,apibank]
       python benchmarks/eval_speed.py batches --data-dir DIR [--suite apibank,bfcl:simple]
       each with [--model nano] [--dialect hammer] [--items 100] [--rounds 3] [--threads N] [--workers N]
       [--parallel N] [--keep]

`--threads` are all that a side has: ours has as many processes (`--workers`, as `eval` chooses for a small model) of
one thread each, or one process of all of them with `--workers 1`.
server: a base run as `coalm-lite eval` makes it (grammar, top-10 log-probabilities, scoring, file) and a plain client
of 8 threads that sends the same prompts as token arrays with the same most tokens to llama-server (8 slots,
cache_prompt), in turn. `wall` is what a user waits; `cpu` is processor time of the process that answers, which other
work on the machine spoils less and which with one thread means the same. The server's answers are held to no grammar:
`free` is our run without one. Loading counts on neither side; each round has a new server, which has no prompt cached.
shared: which part of the prompts' tokens was not computed; for dialogues, computed history tokens over those of the
last turns, each turn's closing markers (what the next prompt does not begin with) apart.
batches: items of one answer at a time against several at once: equal scores, equal texts.
The last line is one JSON object; --keep appends it to results/eval_speed.jsonl.
"""

from __future__ import annotations

import argparse
import http.client
import json
import queue
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from decoding_server import _wait_for

from coalm_lite import dialects
from coalm_lite.evals.items import Ask
from coalm_lite.evals.run import Run
from coalm_lite.evals.running.backend import Backend, Costs, answer_of
from coalm_lite.evals.running.header import Part, choose_dialect, run_header
from coalm_lite.evals.running.opening import BackendOptions, open_backend, trained_dialects
from coalm_lite.evals.running.pool_runner import PoolRunner
from coalm_lite.evals.running.process_pool import ProcessPool
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Runner, Speed
from coalm_lite.evals.running.selection import draw
from coalm_lite.evals.suites import open_suites
from coalm_lite.runtime.base import common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.store.names import resolve_model
from rows import provenance

RESULTS = Path(__file__).parent / "results" / "eval_speed.jsonl"
SLOTS = 8


def parts_of(wanted: argparse.Namespace) -> list[Part]:
    """The suites as they are drawn."""
    parts = []
    for suite in open_suites(wanted.suite.split(","), wanted.data_dir):
        fits = wanted.dialect in suite.dialects
        dialect = choose_dialect(suite, wanted.dialect if fits else None, trained_dialects(wanted.model))
        parts.append(Part(suite, dialect, draw(suite.name, suite.items, wanted.items, 0)))
    return parts


@contextmanager
def opened(wanted: argparse.Namespace, **options: object) -> Iterator[Backend | ProcessPool]:
    """The model as `eval` opens it."""
    workers = wanted.workers or wanted.threads
    given = {"threads": max(1, wanted.threads // workers), "parallel": wanted.parallel, **options}
    if workers > 1:
        with ProcessPool(wanted.model, BackendOptions(**given), workers) as pool:  # type: ignore[arg-type]
            yield pool
    else:
        with open_backend(wanted.model, BackendOptions(**given)) as backend:  # type: ignore[arg-type]
            yield backend


def run(model: Backend | ProcessPool, parts: Sequence[Part]) -> tuple[Run, Speed, float]:
    """A base run into a file; also the processor time of all that work on it."""
    with TemporaryDirectory() as folder:
        path, cpu = Path(folder) / "run.jsonl", _cpu_s(model)
        with RunAppender(path, run_header(model, parts)) as file:
            pooled = isinstance(model, ProcessPool)
            speed = (PoolRunner(model, parts, file) if pooled else Runner(model, parts, file)).run()
        return read_run(path), speed, _cpu_s(model) - cpu


def _cpu_s(model: Backend | ProcessPool) -> float:
    """Of this process and its workers."""
    own = sum(psutil.Process().cpu_times()[:2])
    workers = psutil.Process().children() if isinstance(model, ProcessPool) else []
    return own + sum(sum(worker.cpu_times()[:2]) for worker in workers)


def _costs(model: Backend | ProcessPool) -> Costs:
    return model.costs[0] if isinstance(model, ProcessPool) else model.costs


def first_asks(parts: Sequence[Part]) -> list[Ask]:
    """What single-answer items ask."""
    return [next(part.suite.play(item, part.dialect)) for part in parts for item in part.items]


# Against llama-server


class Server:
    """A llama-server with slots, asked by a client of as many threads."""

    def __init__(self, port: int, process: int) -> None:
        self._port = port
        self._tasks = Path(f"/proc/{process}/task")

    def cpu_s(self) -> float:
        """Processor time of all its threads."""
        return sum(int(path.read_text().split()[0]) for path in self._tasks.glob("*/schedstat")) / 1e9

    def answers(self, prompts: Sequence[tuple[Sequence[int], int]]) -> tuple[float, float, int]:
        """Seconds, processor seconds and answer tokens for all prompts, taken in order by 8 threads."""
        waiting: queue.SimpleQueue[tuple[Sequence[int], int]] = queue.SimpleQueue()
        for prompt in prompts:
            waiting.put(prompt)
        tokens: list[int] = []
        threads = [threading.Thread(target=self._ask, args=(waiting, tokens)) for _ in range(SLOTS)]
        began, cpu = time.perf_counter(), self.cpu_s()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(tokens) != len(prompts):
            raise RuntimeError(f"llama-server answered {len(tokens)} of {len(prompts)} prompts")
        return time.perf_counter() - began, self.cpu_s() - cpu, sum(tokens)

    def _ask(self, waiting: queue.SimpleQueue[tuple[Sequence[int], int]], tokens: list[int]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        while True:
            try:
                prompt, most = waiting.get_nowait()
            except queue.Empty:
                return
            body = {"prompt": [*prompt], "n_predict": most, "temperature": 0, "cache_prompt": True}
            connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
            tokens.append(json.loads(connection.getresponse().read())["tokens_predicted"])


@contextmanager
def serving(program: Path, model: Path, context: int, threads: int) -> Iterator[Server]:
    """A llama-server with 8 slots, each as long as our context."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-m", model, "-c", context * SLOTS, "-np", SLOTS, "-t", threads, "-tb", threads, "--port", port]
    process = subprocess.Popen(
        [*map(str, [program, *options, "--no-webui"])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def against_server(wanted: argparse.Namespace) -> dict[str, object]:
    """Both sides in turn."""
    parts = parts_of(wanted)
    model, rounds = resolve_model(wanted.model).path, list[dict[str, float]]()
    with LlamaEngine.load(model, threads=1) as engine:
        short, context = engine.info.metadata.get("coalm.instructions") == "short", engine.info.context_tokens
        prompts = [
            (engine.tokenize(dialects.get(ask.dialect).render(ask.messages, ask.tools, short)), ask.max_tokens)
            for ask in first_asks(parts)
        ]
    prompts = [(prompt, min(most, context - len(prompt))) for prompt, most in prompts if len(prompt) < context]
    with opened(wanted) as held, opened(wanted, grammar=False) as free:
        for _ in range(wanted.rounds):
            row: dict[str, float] = {}
            for name, backend in (("ours", held), ("free", free)):
                _, speed, cpu = run(backend, parts)
                row |= {f"{name}_s": speed.seconds, f"{name}_cpu_s": cpu}
            with serving(wanted.server, model, context, wanted.threads) as server:  # a new one has seen no prompt
                server.answers([([1], 1)])
                row["server_s"], row["server_cpu_s"], row["server_tokens"] = server.answers(prompts)
            rounds.append(row)
        costs = _costs(held)
    return {
        "items": len(prompts),
        "items_per_minute": _spread([60 * len(prompts) / row["ours_s"] for row in rounds]),
        "server_items_per_minute": _spread([60 * len(prompts) / row["server_s"] for row in rounds]),
        "ratio_wall": _spread([row["server_s"] / row["ours_s"] for row in rounds]),
        "ratio_cpu": _spread([row["server_cpu_s"] / row["ours_cpu_s"] for row in rounds]),
        "ratio_free_wall": _spread([row["server_s"] / row["free_s"] for row in rounds]),
        "ratio_free_cpu": _spread([row["server_cpu_s"] / row["free_cpu_s"] for row in rounds]),
        "answer_tokens": costs.answer_tokens // wanted.rounds,
        "server_answer_tokens": rounds[-1]["server_tokens"],
        "time": {name: round(getattr(costs, name), 2) for name in _TIMES},
        "rounds": rounds,
    }


_TIMES = ("prompting_s", "prefill_s", "decode_s", "sampling_s")


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3),
        "n": len(values),
    }  # fmt: skip


# What prompts share


def shared(wanted: argparse.Namespace) -> dict[str, object]:
    """The shared part of each suite's prompts, and how often a dialogue's history was computed."""
    found: dict[str, object] = {}
    wanted.workers = 1  # as in each of several processes
    with opened(wanted) as backend, LlamaEngine.load(resolve_model(wanted.model).path, threads=1) as engine:
        for part in parts_of(wanted):
            before = backend.costs.computed_tokens, backend.costs.prompt_tokens
            result, speed, _ = run(backend, [part])
            computed = backend.costs.computed_tokens - before[0]
            asked = backend.costs.prompt_tokens - before[1]
            row = {"items": speed.items, "prompt_tokens": asked, "shared": round(1 - computed / asked, 4)}
            found[part.suite.name] = row | _histories(engine, part, result, computed, backend.short)
    return found


def _histories(engine: LlamaEngine, part: Part, result: Run, computed: int, short: bool) -> dict[str, object]:
    """Of items with several turns: what was computed beside the last turns' prompts."""
    closing = last = 0
    firsts: list[Sequence[int]] = []
    for item, found in zip(part.items, result.items, strict=True):
        play, prompts = part.suite.play(item, part.dialect), []
        ask = next(play)
        for step in found.steps:
            prompts.append(engine.tokenize(dialects.get(ask.dialect).render(ask.messages, ask.tools, short)))
            try:
                ask = play.send(answer_of(step))
            except StopIteration:
                break
        last += len(prompts[-1])
        firsts.append(prompts[0])
        pairs = pairwise(prompts)
        closing += sum(len(prompt) - common_prefix_length(prompt, after) for prompt, after in pairs)
    if closing == 0:
        return {}
    common = min(common_prefix_length(firsts[0], prompt) for prompt in firsts)
    return {
        "computed_tokens": computed, "closing_tokens": closing, "last_prompts_tokens": last,
        "common_tokens": common,
        "history_ratio": round((computed - closing) / last, 4),
        "history_ratio_with_the_instruction_once": round((computed - closing) / (last - common * (len(firsts) - 1)), 4),
    }  # fmt: skip


# Batches


def batches(wanted: argparse.Namespace) -> dict[str, object]:
    """The same items one at a time, and as many at once as are by default or by --parallel."""
    parts, runs = parts_of(wanted), []
    for workers, parallel in ((1, 1), (wanted.workers, wanted.parallel)):
        wanted.workers = workers
        with opened(wanted, parallel=parallel) as backend:
            runs.append(run(backend, parts)[0])
    pairs = [*zip(runs[0].items, runs[1].items, strict=True)]
    texts = sum([step.text for step in a.steps] == [step.text for step in b.steps] for a, b in pairs)
    finished = [(a, b) for a, b in pairs if all(step.end == "stop" for step in (*a.steps, *b.steps))]
    return {
        "items": len(pairs),
        "equal_scores": sum(a.units == b.units for a, b in pairs),
        "equal_texts": texts,
        "both_finished": len(finished),
        "equal_scores_of_finished": sum(a.units == b.units for a, b in finished),
    }


def main() -> None:
    """Measure one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("server", "shared", "batches"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--server", type=Path)
    parser.add_argument("--suite")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--dialect", default="hammer")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--parallel", type=int)
    parser.add_argument("--keep", action="store_true")
    wanted = parser.parse_args()
    wanted.suite = wanted.suite or {"shared": "multiwoz,bfcl:simple,apibank"}.get(wanted.case, "apibank,bfcl:simple")
    measured = {"server": against_server, "shared": shared, "batches": batches}[wanted.case](wanted)
    row = {
        "case": f"eval_{wanted.case}", "model": resolve_model(wanted.model).path.name, "suites": wanted.suite,
        "dialect": wanted.dialect, "threads": wanted.threads, "workers": wanted.workers, "parallel": wanted.parallel,
        **measured, **provenance(),
    }  # fmt: skip
    if wanted.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
