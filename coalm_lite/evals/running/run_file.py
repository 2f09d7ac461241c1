"""Run files: JSON Lines, the header first, then an item a line, each written whole before the next is begun.

Read strictly: a field that is not known, a cut last line, an item twice or one too few are errors that name the line.
What a killed run left is a file of fewer items, perhaps with a torn last line, and can be read for going on with it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from coalm_lite.errors import EvalError
from coalm_lite.evals.items import Metric, Share, Unit
from coalm_lite.evals.run import Agreement, Choice, ItemResult, ModelStory, Run, RunHeader, Step, SuiteStory
from coalm_lite.runtime.one_thread import ClosedAtExit
from coalm_lite.store.files import store_errors

FORMAT_VERSION = 1
LOGPROB_DIGITS = 4
_KINDS = (Agreement, Choice, ItemResult, Metric, ModelStory, RunHeader, Share, Step, SuiteStory, Unit)
_HINT = "Give a run file as `coalm-lite eval` writes it."


def read_run(path: Path, *, allow_partial: bool = False) -> Run:
    """The run in a file. EvalError names the line that is wrong, and what; an unfinished run is refused.

    `allow_partial`: take a run that was killed, without its torn last line.
    """
    header, lines = _lines(path, allow_partial)
    items = tuple(_item(path, number, line) for number, line in lines)
    _check_items(path, header, items, allow_partial)
    return Run(header, items)


def read_header(path: Path) -> RunHeader:
    """The first line of a run file alone."""
    with _opened(path) as file:
        return _header(path, file.readline())


def header_sha256(path: Path) -> str:
    """The hash of a run file's first line, by which a differential run names its base."""
    with _opened(path) as file:
        return sha256(file.readline()).hexdigest()


def header_line(header: RunHeader) -> bytes:
    """The first line of a run file."""
    return _adapter(RunHeader).dump_json(header) + b"\n"


def item_line(item: ItemResult) -> bytes:
    """An item's line, without the fields that stand at their default."""
    return _adapter(ItemResult).dump_json(item, exclude_defaults=True) + b"\n"


class RunAppender(ClosedAtExit):
    """A run file that is open for the next items; `done` are those that it has already."""

    def __init__(self, path: Path, header: RunHeader, *, anew: bool = False) -> None:
        """Begin the file, or go on with it where its header is this one. EvalError names a field that differs.

        `anew`: begin it whatever is there. A torn last line is cut off.
        """
        self.path = path
        self.done: tuple[ItemResult, ...] = ()
        with store_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = 0 if anew or not path.exists() else _whole_bytes(path)
            if whole:
                check_same(path, read_header(path), header)
                self.done = read_run(path, allow_partial=True).items
            self._file = path.open("r+b" if whole else "wb")
            self._file.truncate(whole)
            self._file.seek(whole)
            if not whole:
                self._write(header_line(header))

    def append(self, item: ItemResult) -> None:
        """Write an item, so that it survives what happens next."""
        self._write(item_line(item))

    def _write(self, line: bytes) -> None:
        with store_errors(self.path):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def check_same(path: Path, there: RunHeader, wanted: RunHeader) -> None:
    """EvalError that names the first field in which a file's header differs from the one that is wanted."""
    left, right = (_adapter(RunHeader).dump_python(header, mode="json") for header in (there, wanted))
    difference = _difference(left, right)
    if difference is not None:
        name, old, new = difference
        raise EvalError(
            f"{path} holds another run: its {name} is {old!r}, and now it is {new!r}",
            "Give another file with -o, or --force to begin this one anew.",
        )


def _difference(left: Any, right: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two JSON values differ, and what stands there."""
    if type(left) is type(right) and isinstance(left, dict) and left.keys() == right.keys():
        pairs = [(f"{name}.{key}" if name else key, left[key], right[key]) for key in left]
    elif type(left) is type(right) and isinstance(left, list) and len(left) == len(right):
        pairs = [(f"{name}[{index}]", old, new) for index, (old, new) in enumerate(zip(left, right, strict=True))]
    else:
        return None if left == right else (name, left, right)
    return next((found for key, old, new in pairs if (found := _difference(old, new, key))), None)


def _whole_bytes(path: Path) -> int:
    """How much of the file is whole lines."""
    return path.read_bytes().rfind(b"\n") + 1


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise EvalError(f"{path} cannot be read: {error.strerror or error}", _HINT) from error


def _lines(path: Path, allow_partial: bool) -> tuple[RunHeader, Iterator[tuple[int, bytes]]]:
    with _opened(path) as file:
        lines: list[bytes] = file.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        if not allow_partial:
            raise EvalError(
                f"{path}, line {len(lines)}: the line is cut off",
                "The run was stopped while it wrote; the same `coalm-lite eval` command goes on with it.",
            )
        del lines[-1]
    if not lines:
        raise EvalError(f"{path} is empty", _HINT)
    return _header(path, lines[0]), enumerate(lines[1:], start=2)


def _header(path: Path, line: bytes) -> RunHeader:
    header: RunHeader = _read(RunHeader, path, 1, line)
    if header.format_version != FORMAT_VERSION:
        raise EvalError(
            f"{path} is of format {header.format_version}, and this version reads format {FORMAT_VERSION}",
            "Use the coalm-lite that wrote it, or run the evaluation again.",
        )
    return header


def _item(path: Path, number: int, line: bytes) -> ItemResult:
    item: ItemResult = _read(ItemResult, path, number, line)
    for step in item.steps:
        if len(step.ends) != len(step.tokens):
            raise EvalError(f"{path}, line {number}: {len(step.tokens)} tokens have {len(step.ends)} ends", _HINT)
        if any(len(choice.ids) != len(choice.logprobs) for choice in step.choices):
            raise EvalError(f"{path}, line {number}: a choice's ids and logprobs are not equally many", _HINT)
    return item


def _read(kind: Any, path: Path, number: int, line: bytes) -> Any:
    try:
        return _adapter(kind).validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        problem = f"{place}: {first['msg']}" if place else first["msg"]
        raise EvalError(f"{path}, line {number}: {problem}", _HINT) from error


def _check_items(path: Path, header: RunHeader, items: tuple[ItemResult, ...], allow_partial: bool) -> None:
    wanted = {suite.name: suite.items_drawn for suite in header.suites}
    seen: set[tuple[str, str]] = set()
    for number, item in enumerate(items, start=2):
        if item.suite not in wanted:
            raise EvalError(f"{path}, line {number}: the suite {item.suite!r} is none of its header's", _HINT)
        if (item.suite, item.id) in seen:
            raise EvalError(f"{path}, line {number}: the item {item.id!r} of {item.suite} stands there twice", _HINT)
        seen.add((item.suite, item.id))
    counts = Counter(item.suite for item in items)
    for name, drawn in wanted.items():
        if counts[name] > drawn or (counts[name] < drawn and not allow_partial):
            raise EvalError(
                f"{path} has {counts[name]} of the {drawn} items of {name} that its header names",
                "The run is not finished; the same `coalm-lite eval` command goes on with it."
                if counts[name] < drawn
                else _HINT,
            )


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    for each in _KINDS:
        _forbid_others(each)
    return TypeAdapter(kind)


def _forbid_others(kind: Any) -> None:
    """Tell pydantic to refuse fields that the dataclass does not have; what is a value need not know of pydantic."""
    kind.__pydantic_config__ = ConfigDict(extra="forbid")
