"""Whether coalm-nano behind llama-server writes what it writes here: the texts of the same items, compared.

usage: python benchmarks/remote_agreement.py --server BIN/llama-server --data-dir FOLDER [--items 100] [--parallel 2]
       [--server-options='--flash-attn off']

The 60 items of `smoke`, and of `apibank` as many as make up --items, once with this machine's engine and once through
/v1/completions, both without a grammar. The row tells how many answers' texts are equal, and of those that are not how
far (nats) the first choice was from the second where the texts part. It is appended to results/remote_agreement.jsonl
and is the last line of output. The row with "grammar": true is of commit 416b519, which sent llama-server the grammar.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from coalm_lite.evals.run import Run, Step
from coalm_lite.evals.running.backend import Backend
from coalm_lite.evals.running.header import Part, choose_dialect, run_header
from coalm_lite.evals.running.local import LocalBackend
from coalm_lite.evals.running.model_story import file_story
from coalm_lite.evals.running.remote import RemoteBackend
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Runner
from coalm_lite.evals.running.selection import draw
from coalm_lite.evals.suites import open_suites
from coalm_lite.runtime.base import common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.remote import RemoteServer
from coalm_lite.store.names import resolve_model
from rows import provenance

ROWS = Path(__file__).parent / "results" / "remote_agreement.jsonl"
MODEL = "nano"
LOGPROBS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--server-options", default="", help="more of llama-server's own, as one text")
    wanted = parser.parse_args()
    smoke, apibank = open_suites(["smoke", "apibank"], wanted.data_dir)
    more = draw("apibank", apibank.items, wanted.items - len(smoke.items), seed=0)
    dialect = choose_dialect(apibank, None, ())
    parts = (Part(smoke, smoke.dialects[0], smoke.items), Part(apibank, dialect, more))
    with llama_server(wanted.server, wanted.parallel, wanted.server_options.split()) as address:
        row = compared(parts, address, wanted.parallel)
    row["server_options"] = wanted.server_options
    with ROWS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


@contextmanager
def llama_server(program: Path, slots: int, more: Sequence[str]) -> Iterator[str]:
    """The address of a llama-server with coalm-nano, of one thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = 2048 * slots
    options = ["-c", str(context), "-np", str(slots), "-t", "1", "--host", "127.0.0.1", "--port", str(port)]
    command = [str(program), "-m", str(resolve_model(MODEL).path), *options, *more]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str) -> None:
    """Return once `url` answers; it has half a minute."""
    for _ in range(300):
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")


def compared(parts: Sequence[Part], address: str, parallel: int) -> dict[str, object]:
    reference = resolve_model(MODEL)
    with tempfile.TemporaryDirectory() as name:
        with (
            LlamaEngine.load(reference.path, context_tokens=2048, threads=1) as engine,
            LocalBackend(engine, file_story(reference), grammar=False, top_logprobs=LOGPROBS) as backend,
        ):
            here, here_s = run(backend, parts, Path(name) / "here.jsonl")
        with (
            RemoteServer(address, parallel=parallel, logprobs=LOGPROBS) as server,
            RemoteBackend(server, parallel=parallel) as remote,
        ):
            there, there_s = run(remote, parts, Path(name) / "there.jsonl")
    pairs = [
        pair
        for left, right in zip(here.items, there.items, strict=True)
        for pair in zip(left.steps, right.steps, strict=False)
    ]
    other = [(left, right) for left, right in pairs if left.text != right.text]
    return {
        "what": "remote_agreement",
        "grammar": there.header.grammar,
        "n": len(pairs),
        "equal_texts": len(pairs) - len(other),
        "equal_scores": sum(a.units == b.units for a, b in zip(here.items, there.items, strict=True)),
        "equal_prompt_tokens": sum(a.prompt_tokens == b.prompt_tokens for a, b in pairs),
        "margins_where_they_part": [margin(*pair) for pair in other],
        "seconds_here": round(here_s, 1),
        "seconds_there": round(there_s, 1),
        "server": dict(there.header.versions),
        **provenance(),
    }


def run(backend: Backend, parts: Sequence[Part], path: Path) -> tuple[Run, float]:
    with RunAppender(path, run_header(backend, parts)) as file:
        speed = Runner(backend, parts, file).run()
    return read_run(path), speed.seconds


def margin(here: Step, there: Step) -> float | None:
    """By how much the first choice beat the second (nats) where the tokens part; None where nothing was free."""
    at = common_prefix_length(here.tokens, there.tokens)
    found = next((choice for choice in here.choices if choice.at == at), None)
    return round(found.logprobs[0] - found.logprobs[1], 4) if found else None


if __name__ == "__main__":
    main()
