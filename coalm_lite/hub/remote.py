"""One file on the Hub, as its metadata describes it, with the hash by which its bytes can be checked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coalm_lite.errors import HubError
from coalm_lite.hub.places import HubPlace

if TYPE_CHECKING:
    from hashlib import _Hash

_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_HINT = "Check HF_ENDPOINT: a mirror that says so is at fault, or something on the way that answers in the Hub's place."


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at one commit; checked when it is made, because its names become names on disk.

    `etag` is the content's sha256 (large files), else git's sha1 of it as a blob. `license` is empty when unknown;
    `branch` is the revision that was asked for.
    """

    repository: str
    path: str
    revision: str
    etag: str
    size_bytes: int
    license: str = ""
    gated: bool = False
    branch: str = "main"

    def __post_init__(self) -> None:
        HubPlace(self.repository, self.path, revision=self.branch)  # UsageError for names that cannot be taken
        if not _SHA1.fullmatch(self.revision):
            raise HubError(
                f"{self.place}: the Hub named {self.revision[:80]!r} as its commit, which is no git hash", _HINT
            )
        if not (_SHA256.fullmatch(self.etag) or _SHA1.fullmatch(self.etag)):
            raise HubError(
                f"{self.place}: the Hub named no hash of this file, so its bytes could not be checked", _HINT
            )
        if self.size_bytes < 0:
            raise HubError(f"{self.place}: the Hub named {self.size_bytes} bytes as the size of this file", _HINT)

    @property
    def place(self) -> str:
        """Repository and path, for messages."""
        return f"{self.repository}/{self.path}"

    @property
    def sha256(self) -> str:
        """The content's sha256; empty when the Hub names git's hash instead."""
        return self.etag if _SHA256.fullmatch(self.etag) else ""

    def new_digest(self) -> _Hash:
        """A digest that has the value `etag` once it was given the whole content."""
        if self.sha256:
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size_bytes, usedforsecurity=False)
