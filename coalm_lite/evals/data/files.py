"""A benchmark's files on disk: which folder a suite reads, and the JSON in it, plain or gzipped.

One folder holds them all, a sub-folder a benchmark: what `coalm-lite data fetch` wrote, or a user's own (`--data-dir`).
A file is named without `.gz`; the plain one is read where both lie.

    bfcl/BFCL_v3_simple.json, bfcl/possible_answer/..., bfcl/multi_turn_func_doc/...      JSON Lines, as published
    apibank/hammer_apibank_l1.json, apibank/hammer_apibank_l2.json                        one JSON list each
    multiwoz24/test.jsonl (or test_a.jsonl), multiwoz24/db/*.json, multiwoz24/ontology.json
    bfcl-executors/bfcl_eval/...                                                          a wheel, unpacked
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from coalm_lite.errors import StoreError, UsageError
from coalm_lite.paths import cache_dir
from coalm_lite.types import JsonObject, JsonValue

FOLDERS = {"bfcl": "bfcl", "apibank": "apibank", "multiwoz": "multiwoz24", "bfcl-executors": "bfcl-executors"}


def fetched_dir() -> Path:
    """Where fetched benchmarks lie: they can be fetched again, so in the cache."""
    return cache_dir() / "benchmarks"


def find_data(suite: str, data_dir: Path | None = None) -> Path:
    """The folder of a suite's files ("bfcl", or "bfcl:live"), in `data_dir` or where `data fetch` puts them.

    Executors are a program, not a benchmark: fetched ones serve where `data_dir` has none. Raises UsageError for a
    suite without data, StoreError where the folder is not there; the hint names the command that brings it.
    """
    name = suite.partition(":")[0]
    if name not in FOLDERS:
        raise UsageError(f"no data belong to a suite {name!r}", f"Those with data are {', '.join(FOLDERS)}.")
    homes = [data_dir or fetched_dir()] + ([fetched_dir()] if name == "bfcl-executors" else [])
    for home in homes:
        if (home / FOLDERS[name]).is_dir():
            return home / FOLDERS[name]
    raise StoreError(f"the data of {name} are not on this machine: no folder {homes[0] / FOLDERS[name]}", _hint(name))


def data_file(folder: Path, *names: str) -> Path:
    """The first of these files that `folder` has, plain or gzipped; StoreError where it has none of them."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    name = next((suite for suite, below in FOLDERS.items() if below == folder.name), "")
    raise StoreError(f"{folder} has no {' or '.join(names)}, plain or .gz", _hint(name))


def read_json(path: Path) -> JsonValue:
    """The value of a JSON file; `path` is its name without `.gz`, or the file itself."""
    return _decoded(_text(path), str(path))


def read_json_lines(path: Path) -> list[JsonObject]:
    """The objects of a file with one a line; empty lines are passed over."""
    entries = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        value = _decoded(line, f"{path}, line {number}")
        if not isinstance(value, dict):
            raise StoreError(f"{path}, line {number} is no JSON object: {line[:60]!r}", _DAMAGED)
        entries.append(value)
    return entries


_DAMAGED = "The file is damaged or another than the published one: fetch it again with `coalm-lite data fetch`."


def _hint(suite: str) -> str:
    fetch = f"Fetch them with `coalm-lite data fetch {suite}`".rstrip()
    folder = FOLDERS.get(suite, "FOLDER")
    return f"{fetch}, or name a folder that has them in its sub-folder {folder} with --data-dir."


def _text(path: Path) -> str:
    """A file's text, unzipped by its name; StoreError where it cannot be read."""
    there = data_file(path.parent, path.name)
    try:
        raw = there.read_bytes()
        return (gzip.decompress(raw) if there.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StoreError(f"{there} cannot be read: {error}", _DAMAGED) from error


def _decoded(text: str, place: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{place} is no JSON: {error}", _DAMAGED) from error
    return value
