"""A remote file's fields become names on disk, so they are checked."""

from __future__ import annotations

import hashlib

import pytest

from coalm_lite.errors import HubError, UsageError
from coalm_lite.hub.remote import RemoteFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("commit", ["", "main", "../x", COMMIT + "0", COMMIT.upper(), COMMIT + "\n"])
def test_a_commit_is_a_git_hash(commit: str) -> None:
    with pytest.raises(HubError, match="no git hash"):
        RemoteFile("o/r", "m.gguf", commit, "0" * 64, 1)


@pytest.mark.parametrize("etag", ["", "../../x", "0" * 63, "G" * 64, "0" * 64 + "\n"])
def test_an_etag_is_a_hash(etag: str) -> None:
    with pytest.raises(HubError, match="could not be checked"):
        RemoteFile("o/r", "m.gguf", COMMIT, etag, 1)


@pytest.mark.parametrize(
    ("repository", "path", "branch"),
    [("o/r", "../../out.gguf", "main"), ("o/r", "m.gguf", "../../out"), ("o/..", "m.gguf", "main")],
)
def test_names_that_lead_elsewhere_are_refused(repository: str, path: str, branch: str) -> None:
    with pytest.raises(UsageError):
        RemoteFile(repository, path, COMMIT, "0" * 64, 1, branch=branch)


def test_a_size_is_not_negative() -> None:
    with pytest.raises(HubError, match="-1 bytes"):
        RemoteFile("o/r", "m.gguf", COMMIT, "0" * 64, -1)


def test_the_digest_is_the_one_the_etag_names() -> None:
    by_sha256 = RemoteFile("o/r", "m.gguf", COMMIT, hashlib.sha256(b"abc").hexdigest(), 3)
    # what `printf abc | git hash-object --stdin` prints
    by_git = RemoteFile("o/r", "m.txt", COMMIT, "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f", 3)
    for remote in (by_sha256, by_git):
        digest = remote.new_digest()
        digest.update(b"abc")
        assert digest.hexdigest() == remote.etag
    assert (by_sha256.sha256, by_git.sha256) == (by_sha256.etag, "")
