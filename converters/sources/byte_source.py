"""A file whose bytes are read at any place: on this machine here, on the Hub by range in coalm_lite.hub.ranges.

Covered: pieces in order, each in memory of its own, with the file closed in between; a file that ends, grows or is
replaced while it is read is an error. Nothing is mapped, so a process never counts more of the file than it holds.
Not covered: what the bytes mean.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from coalm_lite.errors import ModelError

_DAMAGED = "The file is damaged or incomplete: download it again and compare its sha256."
_CHANGED = "Wait until nothing writes to it any more, then run it again."
_ABSENT = "The folder must hold every file of the checkpoint."


class ByteSource(Protocol):
    """A file's bytes; `name` names it in messages."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    def pieces(self, offset: int, sizes: Iterable[int]) -> Iterator[bytearray]:
        """The bytes from `offset` on, in pieces of exactly these sizes; nothing is read ahead of what is asked for.

        Raises a CoalmError that names the file when it does not have them, or is no longer the one that was opened.
        """
        ...


def read_at(source: ByteSource, offset: int, size: int) -> bytearray:
    """Exactly `size` bytes from `offset` on."""
    return next(source.pieces(offset, [size]))


@dataclass(frozen=True, slots=True)
class LocalBytes:
    """A file on this machine as it was when it was opened; `stamp` is another one when its bytes may be others."""

    path: Path
    size_bytes: int
    stamp: tuple[int, ...]

    @classmethod
    def open(cls, path: Path) -> LocalBytes:
        """The file at `path`; ModelError when there is none or it is a folder."""
        try:
            if path.is_dir():
                raise ModelError(f"{path}: a folder, where a file is needed", _ABSENT)
            if not path.is_file():
                raise ModelError(f"{path}: file not found", _ABSENT)
            status = path.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise _unreadable(path, error) from error
        return cls(path, status.st_size, _stamp(status))

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def pieces(self, offset: int, sizes: Iterable[int]) -> Iterator[bytearray]:
        """The bytes from `offset` on, in pieces of these sizes."""
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                for size in sizes:
                    yield self._piece(file, size)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _piece(self, file: BinaryIO, size: int) -> bytearray:
        piece = bytearray(size)
        rest = memoryview(piece)
        while rest:
            count = file.readinto(rest)  # type: ignore[attr-defined]  # an unbuffered file has it
            if not count:
                raise ModelError(f"{self.path}: the file ended while it was read", _DAMAGED)
            rest = rest[count:]
        if _stamp(os.fstat(file.fileno())) != self.stamp:
            raise ModelError(f"{self.path}: the file changed while it was read", _CHANGED)
        return piece


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _unreadable(path: Path, error: Exception) -> ModelError:
    reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return ModelError(f"{path}: cannot be read: {reason}", "Check the path and its permissions.")
