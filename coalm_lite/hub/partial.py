"""The bytes that came so far, on disk and in a digest.

    NAME            the file's first bytes; they go to the operating system at once, so a killed process loses none
    NAME.json       which file they are of: etag, size_bytes, repository, path

A partial of another content is deleted, never continued. Whoever calls holds the lock: two writers are not expected.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from coalm_lite.errors import StoreError
from coalm_lite.hub.progress import Meter
from coalm_lite.hub.remote import RemoteFile

READ_BYTES = 1 << 20


def companion_of(partial: Path) -> Path:
    """The file beside a partial that says what it is of; whoever moves the partial away deletes it."""
    return partial.with_name(f"{partial.name}.json")


@contextmanager
def disk_errors(place: Path, missing_bytes: int = 0) -> Iterator[None]:
    """Tell an OSError in the block as a StoreError; `missing_bytes` is what was still to be written."""
    try:
        yield
    except OSError as error:
        where = Path(error.filename or place)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(where, missing_bytes) from error
        hint = "Check that the disk may be written, who owns the folder, and how large a file this disk allows."
        raise StoreError(f"{where}: {error.strerror or error}", hint) from error


def _no_room(where: Path, missing_bytes: int) -> StoreError:
    folder = next(folder for folder in where.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free
    hint = "Make room and run it again: what came so far is kept."
    return StoreError(f"no room left in {folder}: {missing_bytes} more bytes needed, {free} free", hint)


class Partial:
    """An open partial file; `length` bytes are on disk and in the digest."""

    def __init__(self, path: Path, remote: RemoteFile, file: BinaryIO) -> None:
        self.path = path
        self.remote = remote
        self.length = 0
        self._file = file
        self._digest = remote.new_digest()

    @property
    def missing_bytes(self) -> int:
        """How many bytes are still to come."""
        return self.remote.size_bytes - self.length

    def is_right(self) -> bool:
        """Whether the bytes have the hash that the Hub names."""
        return self._digest.hexdigest() == self.remote.etag

    def take_up(self, meter: Meter) -> None:
        """Read what is on disk into the digest."""
        with disk_errors(self.path):
            there = os.fstat(self._file.fileno()).st_size
            if there:
                meter.begin("hashing", 0, there)
            while block := self._file.read(READ_BYTES):
                self._digest.update(block)
                self.length += len(block)
                meter.add(len(block))

    def append(self, block: bytes) -> None:
        """Write the next bytes."""
        rest = memoryview(block)
        while rest:  # an unbuffered file may take less than it is given
            with disk_errors(self.path, self.missing_bytes):
                written = self._file.write(rest)
            self._digest.update(rest[:written])
            self.length += written
            rest = rest[written:]

    def restart(self) -> None:
        """Drop all bytes."""
        with disk_errors(self.path):
            self._file.seek(0)
            self._file.truncate()
        self._digest = self.remote.new_digest()
        self.length = 0

    def flush(self) -> None:
        """Wait until the bytes are on the disk itself."""
        with disk_errors(self.path):
            os.fsync(self._file.fileno())


@contextmanager
def open_partial(path: Path, remote: RemoteFile) -> Iterator[Partial]:
    """The partial of `remote` at `path`: the one that is there if it is of this content, else a new one."""
    with disk_errors(path, remote.size_bytes):
        if not _continues(path, remote):
            path.parent.mkdir(parents=True, exist_ok=True)
            discard(path)
            names = {"repository": remote.repository, "path": remote.path}
            text = json.dumps({"etag": remote.etag, "size_bytes": remote.size_bytes, **names})
            # The companion comes first: bytes that nobody can place are worth nothing.
            companion_of(path).write_text(text, encoding="utf-8")
            path.touch()
        file = path.open("r+b", buffering=0)
    with file:
        yield Partial(path, remote, file)


def discard(path: Path) -> None:
    """Delete a partial and its companion, if they are there."""
    path.unlink(missing_ok=True)
    companion_of(path).unlink(missing_ok=True)


def _continues(path: Path, remote: RemoteFile) -> bool:
    """Whether the partial at `path` holds the first bytes of `remote`, as far as its companion and length tell."""
    try:
        told = json.loads(companion_of(path).read_text(encoding="utf-8"))
        length = path.stat().st_size
    except (FileNotFoundError, ValueError):
        return False
    same = isinstance(told, dict) and (told.get("etag"), told.get("size_bytes")) == (remote.etag, remote.size_bytes)
    return same and length <= remote.size_bytes
