"""KV states on disk: what an engine computed for the beginning of a prompt, for the next process. Files alone.

A file: `COALMKV1`, the length of a JSON header as 4 bytes (little endian), the header (`key`: what must be equal for
the state to mean anything; `tokens` and `state`: lengths in bytes; `sha256` of both), the tokens as int32, the state.
It is written whole or not at all and read strictly, since engines may end the process over a damaged state; a file
that is not right is deleted. The folder is bounded: the longest unused files go first. Only beginnings that hold no
words of a user belong here; who saves sees to that.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from coalm_lite.runtime.base import common_prefix_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"COALMKV1"
DEFAULT_LIMIT_BYTES = 4 << 30
_SUFFIX = ".kv"
_UNFINISHED = ".new-"
_HEADER_LENGTH = struct.Struct("<I")
_MAX_HEADER_BYTES = 4096
_TOKEN = np.dtype("<i4")
_STALE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state, and the tokens that it is the state of."""

    tokens: tuple[int, ...]
    state: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Header:
    key: str
    tokens_bytes: int
    state_bytes: int
    digest: str
    starts_at: int


class SnapshotFolder:
    """The states in `folder`, together at most `limit_bytes`; a disk that fails is as good as an empty one."""

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def find(self, key: str, tokens: Sequence[int], least: int) -> Snapshot | None:
        """The state with this key of the longest common beginning with `tokens`, of `least` tokens or more.

        What it holds beyond that is to be cut. None when there is none that is whole.
        """
        best: tuple[int, Path] | None = None
        for path in self._files():
            found = self._tokens(path, key)
            common = 0 if found is None else common_prefix_length(found, tokens)
            if common >= least and (best is None or common > best[0]):
                best = common, path
        return None if best is None else self._read(best[1])

    def save(self, key: str, snapshot: Snapshot) -> Path | None:
        """The file, written; None when it is larger than half the limit or the disk does not allow it."""
        tokens = np.array(snapshot.tokens, dtype=_TOKEN).tobytes()
        if 2 * (len(tokens) + snapshot.state.nbytes) > self.limit_bytes:
            return None
        digest = sha256(tokens)
        digest.update(snapshot.state.data)
        header = {"key": key, "tokens": len(tokens), "state": snapshot.state.nbytes, "sha256": digest.hexdigest()}
        path = self.folder / f"{sha256(key.encode() + tokens).hexdigest()[:32]}{_SUFFIX}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(tokens) + snapshot.state.nbytes, spared=path)
            with _new_file(path) as file:
                written = json.dumps(header).encode()
                for part in (MAGIC, _HEADER_LENGTH.pack(len(written)), written, tokens, snapshot.state.data):
                    file.write(part)
        except OSError:
            return None
        return path

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if path.suffix == _SUFFIX)
        except OSError:
            return []

    def _tokens(self, path: Path, key: str) -> list[int] | None:
        """The tokens of a file with this key; a damaged one is deleted."""
        try:
            with path.open("rb") as file:
                header = _read_header(file)
                if header is None:
                    self._drop(path)
                if header is None or header.key != key:
                    return None
                tokens: list[int] = np.frombuffer(file.read(header.tokens_bytes), dtype=_TOKEN).tolist()
                return tokens
        except OSError:
            return None

    def _read(self, path: Path) -> Snapshot | None:
        try:
            with path.open("rb") as file:
                header = _read_header(file)
                data = b"" if header is None else file.read(header.tokens_bytes)
                state = np.fromfile(file, dtype=np.uint8)
        except OSError:
            return None
        digest = sha256(data)
        digest.update(state.data)
        if header is None or len(state) != header.state_bytes or digest.hexdigest() != header.digest:
            self._drop(path)
            return None
        with suppress(OSError):
            os.utime(path)  # the longest unused goes first
        return Snapshot(tuple(np.frombuffer(data, dtype=_TOKEN).tolist()), state)

    def _make_room(self, needed: int, spared: Path) -> None:
        """Delete the longest unused files until `needed` bytes fit, and what killed processes left."""
        for path in self.folder.iterdir():
            if path.name.startswith(_UNFINISHED) and time.time() - path.stat().st_mtime > _STALE_S:
                self._drop(path)
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._files() if path != spared)
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total + needed <= self.limit_bytes:
                return
            self._drop(path)
            total -= size

    def _drop(self, path: Path) -> None:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block is through, readable by its user alone."""
    new = path.with_name(f"{_UNFINISHED}{token_hex(8)}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _read_header(file: BinaryIO) -> _Header | None:
    """The header, if the file has the length that it says; leaves the place at the tokens."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(len(MAGIC) + _HEADER_LENGTH.size)
    if len(start) < len(MAGIC) + _HEADER_LENGTH.size or not start.startswith(MAGIC):
        return None
    (length,) = _HEADER_LENGTH.unpack(start[len(MAGIC) :])
    if length > _MAX_HEADER_BYTES:
        return None
    try:
        header = json.loads(file.read(length))
        found = _Header(
            str(header["key"]), int(header["tokens"]), int(header["state"]), str(header["sha256"]), file.tell()
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    whole = found.starts_at + found.tokens_bytes + found.state_bytes == size
    sane = found.tokens_bytes > 0 == found.tokens_bytes % _TOKEN.itemsize and found.state_bytes > 0
    return found if whole and sane else None
