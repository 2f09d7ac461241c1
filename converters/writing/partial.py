"""A large file in the making: OUT.partial, which a later run of the same conversion goes on with.

Beside it stands OUT.partial.journal: a line of JSON with the settings, then one for each complete part with the size so
far, the sha256 of the data so far, and what the caller wants to know of the part again. A run goes on after the last
line whose hash is that of the data in the file; other settings, another head or no journal start anew. Covered: both
files go when the block ends with an error or an interrupt, and stay when the process was killed, the disk is full, or
the caller asked for it; one run at a time for one OUT; the disk's room is checked first. Not covered: a lock between
users of one machine.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from coalm_lite.errors import StoreError
from coalm_lite.paths import cache_dir
from coalm_lite.store.locks import held
from coalm_lite.types import JsonObject, JsonValue

_STEP_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_HINT = "Check that the folder exists, may be written and has room."


@dataclass(frozen=True, slots=True)
class Target:
    """Where to write. `kept_after`: errors after which what was made so far stays for a later run."""

    path: Path
    kept_after: tuple[type[BaseException], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made: a file of `head` and parts, each filled up to a multiple of `align`.

    `settings`: all that the parts depend on; only a run with equal settings and an equal head goes on. `kept_after` is
    the target's.
    """

    target: Path
    settings: JsonObject
    head: bytes
    size_bytes: int
    align: int
    kept_after: tuple[type[BaseException], ...] = ()

    @property
    def partial(self) -> Path:
        """The file in the making."""
        return self.target.with_name(self.target.name + ".partial")

    @property
    def journal(self) -> Path:
        """What is known of the complete parts."""
        return self.target.with_name(self.target.name + ".partial.journal")

    @property
    def lock(self) -> Path:
        """The lock of this target, where nothing of it is left beside the target after a kill."""
        digest = hashlib.sha256(os.fsencode(self.target.absolute())).hexdigest()
        return cache_dir() / "locks" / f"{digest[:32]}.lock"


class PartialFile:
    """The file while it is open. `notes`: what was noted of the parts that an earlier run left complete."""

    def __init__(self, file: BinaryIO, journal: BinaryIO, plan: Plan) -> None:
        self.notes: list[JsonObject] = []
        self._file, self._journal, self._align = file, journal, plan.align
        self._hash = hashlib.sha256()
        self._size = 0
        if not self._resume(plan):
            self._start(plan)

    @property
    def data_sha256(self) -> str:
        """The hash of all that stands behind the head so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Append to the part at hand."""
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def end_part(self, note: JsonObject) -> None:
        """Fill the part up to the alignment; from here on a later run need not make it again."""
        self.write(bytes(-self._size % self._align))
        self._file.flush()
        self._add_line({"size": self._size, "sha256": self.data_sha256, "note": note})

    def _start(self, plan: Plan) -> None:
        for file in (self._file, self._journal):
            file.seek(0)
            file.truncate()
        self._size = self._file.write(_filled(plan))
        self._file.flush()
        self._add_line(plan.settings)

    def _resume(self, plan: Plan) -> bool:
        """Go on behind the last part that is as it was written; False when this is not the file to go on with."""
        lines = self._journal.read().split(b"\n")
        head = _filled(plan)
        if _parsed(lines[0]) != plan.settings or self._file.read(len(head)) != head:
            return False
        self._size = len(head)
        length = len(lines[0]) + 1
        for line in lines[1:-1]:  # behind the last line feed stands nothing, or a line that was cut
            if not self._take_over(_parsed(line)):
                break
            length += len(line) + 1
        self._file.seek(self._size)
        self._file.truncate()
        self._journal.seek(length)
        self._journal.truncate()
        return True

    def _take_over(self, line: JsonValue) -> bool:
        """Whether the file holds the part that this line tells of; then it counts as written."""
        known = line if isinstance(line, dict) else {}
        size, digest, note = (known.get(key) for key in ("size", "sha256", "note"))
        if not isinstance(size, int) or not isinstance(note, dict) or size < self._size:
            return False
        found = self._hash.copy()
        for at in range(self._size, size, _STEP_BYTES):
            found.update(self._file.read(min(_STEP_BYTES, size - at)))
        if self._file.tell() != size or found.hexdigest() != digest:
            return False
        self._hash, self._size = found, size
        self.notes.append(note)
        return True

    def _add_line(self, line: JsonObject) -> None:
        self._journal.write(json.dumps(line).encode() + b"\n")
        self._journal.flush()


@contextmanager
def partial_file(plan: Plan) -> Iterator[PartialFile]:
    """The file to write the parts to; it gets its name when the block ends well.

    Raises StoreError when the disk has too little room, when another process makes the same file, and for what the disk
    refuses.
    """
    with held(plan.lock) as is_free:
        if not is_free:
            hint = "Wait for it, or name another file."
            raise StoreError(f"{plan.target} is being made by another process", hint)
        _check_room(plan)
        try:
            with _open(plan.partial) as file, _open(plan.journal) as journal:
                yield PartialFile(file, journal, plan)
                file.flush()
                os.fsync(file.fileno())
            plan.journal.unlink()
            plan.partial.replace(plan.target)
        except BaseException as error:
            is_full = isinstance(error, OSError) and error.errno in _FULL
            if not is_full and not isinstance(error, plan.kept_after):
                _remove(plan)
            if isinstance(error, OSError):
                place = error.filename or plan.partial
                raise StoreError(f"{place}: cannot be read or written: {error.strerror or error}", _HINT) from error
            raise


def _check_room(plan: Plan) -> None:
    """Raise StoreError when the disk has too little room for what is still to be written."""
    folder = plan.target.absolute().parent
    try:
        free = shutil.disk_usage(folder).free
        there = plan.partial.stat().st_size if plan.partial.is_file() else 0
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}", _HINT) from error
    needed = plan.size_bytes - there
    if needed > free:
        hint = "Make room, or name a file on another disk."
        raise StoreError(f"{plan.target} needs {needed:,} bytes of disk, and {free:,} are free", hint)


def _open(path: Path) -> BinaryIO:
    path.touch()
    return path.open("r+b")


def _remove(plan: Plan) -> None:
    for path in (plan.partial, plan.journal):
        with contextlib.suppress(OSError):
            path.unlink()


def _filled(plan: Plan) -> bytes:
    """The head up to where the first part begins."""
    return plan.head + bytes(-len(plan.head) % plan.align)


def _parsed(line: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(line)
    except ValueError:
        return None
    return value
