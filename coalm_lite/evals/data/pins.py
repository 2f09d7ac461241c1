"""The public files that `data fetch` brings, read from pins.toml: addresses at fixed commits, sizes, hashes.

pins.toml: a table a suite with title, licence and source, and groups of files below one address. A file's `path` is its
place in the suite's folder, `at` its place below the address where that is another. Its hash is its sha256, or for the
one file of which only this is published the name that git gives its content. `unpack` says how a suite's first file, an
archive, is turned into files ("wheel", "multiwoz"), `inner_sha256` pins the file inside it that counts.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

from coalm_lite.errors import UsageError
from coalm_lite.evals.data.files import FOLDERS

Unpack: TypeAlias = Literal["", "wheel", "multiwoz"]
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Pin:
    """One public file. `size_bytes` is 0 where it is not known beforehand; `etag` is a sha256 or git's blob hash."""

    path: str
    url: str
    etag: str
    size_bytes: int = 0

    @property
    def kind(self) -> str:
        """What its hash is, for messages."""
        return "sha256" if len(self.etag) == 64 else "git blob"

    def hash_of(self, path: Path) -> str:
        """The hash, of this pin's kind, of a file on disk."""
        size = path.stat().st_size
        digest = hashlib.sha256() if self.kind == "sha256" else hashlib.sha1(f"blob {size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PinnedSuite:
    """All files of one suite."""

    name: str
    title: str
    licence: str
    source: str
    pins: tuple[Pin, ...]
    unpack: Unpack = ""
    inner_sha256: str = ""

    @property
    def folder(self) -> str:
        """Its folder's name, below the folder of all suites."""
        return FOLDERS[self.name]

    @property
    def fingerprint(self) -> str:
        """Changes with any hash, so that a folder that was fetched by other pins is told from this one."""
        told = "".join(f"{pin.path} {pin.etag}\n" for pin in self.pins)
        return hashlib.sha256(told.encode()).hexdigest()


@cache
def pinned_suites() -> dict[str, PinnedSuite]:
    """The suites by name, in the file's order."""
    text = resources.files(__package__).joinpath("pins.toml").read_text(encoding="utf-8")
    return {name: _suite(name, table) for name, table in tomllib.loads(text).items()}


def pinned(name: str) -> PinnedSuite:
    """The pins of a suite; UsageError for one that has none."""
    suites = pinned_suites()
    if name not in suites:
        raise UsageError(f"nothing can be fetched for a suite {name!r}", f"These can: {', '.join(suites)}.")
    return suites[name]


def _suite(name: str, table: dict[str, object]) -> PinnedSuite:
    # the file is the package's own: the tests hold its form
    told = {key: str(table.get(key, "")) for key in ("title", "licence", "source", "inner_sha256")}
    groups = table["files"]
    assert isinstance(groups, list)
    pins = tuple(_pin(group["base"], entry) for group in groups for entry in group["list"])
    unpack: Unpack = "wheel" if table.get("unpack") == "wheel" else "multiwoz" if table.get("unpack") else ""
    return PinnedSuite(name, told["title"], told["licence"], told["source"], pins, unpack, told["inner_sha256"])


def _pin(base: str, entry: dict[str, str | int]) -> Pin:
    path = str(entry["path"])
    etag = str(entry.get("sha256") or entry["git_blob"])
    return Pin(path, f"{base}/{entry.get('at', path)}", etag, int(entry.get("bytes", 0)))
