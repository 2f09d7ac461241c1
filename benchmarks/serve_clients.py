"""Real clients against `coalm-lite serve nano`: each holds a tool-calling conversation; schemathesis looks for a 500.

usage: python benchmarks/serve_clients.py --python VENV/bin/python --node FOLDER [--cases 300] [--seed 11] [--keep]

VENV: an environment with `pip install openai llm langchain-openai schemathesis`; FOLDER: one with `npm install openai`.
Nothing of them is a dependency of this project. The scripts are those of clients/; each prints its client's version
and fails where something is not as it must be. schemathesis makes its cases from /openapi.json, as long as --cases is
not 0; what it holds against a server is all but `positive_data_acceptance`: a conversation's order is no matter of a
schema, so requests that fit the schema are refused where it is wrong. The last line is one JSON object; `--keep`
appends it to results/serve_clients.jsonl.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rows import provenance

CLIENTS = Path(__file__).with_name("clients")
RESULTS = Path(__file__).with_name("results") / "serve_clients.jsonl"
SCRIPTS = ("openai_python.py", "langchain_openai_tools.py", "llm_tools.py")
WITHIN_S = 1800
REQUEST_S = 60


def main() -> None:
    """Run all, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--node", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=300, help="of each operation, at most")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    with serving() as (url, key):
        told = [last_line([options.python, CLIENTS / script, url, key]) for script in SCRIPTS]
        told.append(node(options.node, url, key))
        described = fuzzed(options, url, key) if options.cases else {}
    row = {"benchmark": "serve_clients", "clients": told, "schemathesis": described, **provenance()}
    print(json.dumps(row))
    if options.keep:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@contextmanager
def serving() -> Iterator[tuple[str, str]]:
    """The address and the key of a server, which is ended at last."""
    command = [sys.executable, "-m", "coalm_lite.cli", "serve", "nano", "--port", "0", "--json", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield told["url"], told["key"]
        finally:
            process.terminate()
            process.wait(30)


def last_line(command: list[object], folder: Path | None = None) -> dict[str, object]:
    """The JSON object that a script printed last; RuntimeError with what it said where it failed."""
    words = [*map(str, command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[1]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def node(folder: Path, url: str, key: str) -> dict[str, object]:
    """The Node client, whose script must stand where its packages are found."""
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        for name in ("openai_node.mjs", "town_tools.json"):
            shutil.copy(CLIENTS / name, beside)
        return last_line(["node", "openai_node.mjs", url, key], Path(beside))


def fuzzed(options: argparse.Namespace, url: str, key: str) -> dict[str, object]:
    """What schemathesis found: its version, cases and verdict."""
    command = [options.python.absolute().parent / "schemathesis", "run", url.replace("/v1", "/openapi.json")]
    command += ["-H", f"Authorization: Bearer {key}", "--max-examples", options.cases, "--seed", options.seed]
    command += [
        "--request-timeout",
        REQUEST_S,
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--exclude-checks",
        "positive_data_acceptance",
    ]
    words = [*map(str, command)]
    with tempfile.TemporaryDirectory() as folder:  # it leaves a cache where it runs
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    version = re.search(r"Schemathesis v(\S+)", done.stdout)
    cases = re.search(r"(\d+) generated", done.stdout)
    errored = re.search(r"(\d+) errored", done.stdout)
    if done.returncode not in (0, 1) or not version or not cases:
        raise RuntimeError(f"schemathesis failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return {
        "version": version[1],
        "cases": int(cases[1]),
        "unanswered": int(errored[1]) if errored else 0,
        "issues": done.stdout.count("Test Case ID"),
        "server_errors": done.stdout.count("Server error"),
    }


if __name__ == "__main__":
    main()
