"""A repository's files at one commit, as the Hub lists them: names, sizes and hashes, before any byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coalm_lite.errors import HubError
from coalm_lite.hub.refusals import endpoint
from coalm_lite.hub.remote import RemoteFile


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A repository at the commit `revision`; `entries` has the ETag and the size of each file by its path.

    The paths come from the Hub unchecked: `file` refuses one that cannot be taken.
    """

    repository: str
    revision: str
    branch: str
    license: str
    gated: bool
    entries: Mapping[str, tuple[str, int]]

    @property
    def place(self) -> str:
        """Repository and commit, for messages: `hf:owner/repo@revision`."""
        return f"hf:{self.repository}@{self.revision}"

    def file(self, path: str) -> RemoteFile:
        """The file at `path`; HubError when there is none."""
        if path not in self.entries:
            hint = f"See {endpoint()}/{self.repository}/tree/{self.branch} for what there is."
            raise HubError(f"{self.repository}/{path}: there is no such file", hint)
        etag, size_bytes = self.entries[path]
        return RemoteFile(self.repository, path, self.revision, etag, size_bytes, self.license, self.gated, self.branch)
