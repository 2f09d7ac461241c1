"""The final name in the cache: huggingface_hub takes it as its own, and nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.hub.snapshot import link
from tests.hub.conftest import MODEL, MODEL_BYTES, QUICK, REPOSITORY
from tests.hub.hub_server import Hub

LOOK_IN_CHILD = """
import sys
from huggingface_hub import hf_hub_download, scan_cache_dir
found = hf_hub_download(sys.argv[2], sys.argv[3], cache_dir=sys.argv[1])
report = scan_cache_dir(sys.argv[1])
assert not report.warnings, report.warnings
(repository,) = report.repos
print(found, repository.repo_id, repository.size_on_disk, sorted(repository.refs), sep="\\n")
"""


@pytest.fixture
def remote(hub: Hub) -> RemoteFile:
    return HubClient(waits=QUICK).find(HubPlace(REPOSITORY, MODEL))


def folder(root: Path) -> Path:
    return root / f"models--{REPOSITORY.replace('/', '--')}"


def put_blob(root: Path, remote: RemoteFile) -> Path:
    blob = folder(root) / "blobs" / remote.etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(MODEL_BYTES)
    return blob


def test_the_name_leads_to_the_blob_and_again_does_nothing(remote: RemoteFile, tmp_path: Path) -> None:
    blob = put_blob(tmp_path, remote)
    named = link(remote, tmp_path)
    assert named == folder(tmp_path) / "snapshots" / remote.revision / MODEL
    assert named.samefile(blob) and named.read_bytes() == MODEL_BYTES
    assert not named.readlink().is_absolute()
    assert link(remote, tmp_path) == named
    assert [path.name for path in named.parent.iterdir()] == [MODEL]


@pytest.mark.parametrize("offline", ["0", "1"])
def test_huggingface_hub_takes_the_name_as_its_own(
    hub: Hub, remote: RemoteFile, tmp_path: Path, offline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_blob(tmp_path, remote)
    (folder(tmp_path) / "coalm-lite").mkdir()
    named = link(remote, tmp_path)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    command = [sys.executable, "-c", LOOK_IN_CHILD, str(tmp_path), REPOSITORY, MODEL]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [str(named), REPOSITORY, str(len(MODEL_BYTES)), "['main']"]
    assert hub.body_bytes_sent() == 0


def test_a_name_that_leads_nowhere_or_elsewhere_is_replaced(remote: RemoteFile, tmp_path: Path) -> None:
    blob = put_blob(tmp_path, remote)
    named = folder(tmp_path) / "snapshots" / remote.revision / MODEL
    named.parent.mkdir(parents=True)
    named.symlink_to("../../blobs/nothing")
    assert link(remote, tmp_path).samefile(blob)
    named.unlink()
    named.write_bytes(b"half of it")
    assert link(remote, tmp_path).samefile(blob)


def test_without_symbolic_links_a_hard_link_and_without_both_the_file_itself(
    remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    blob = put_blob(tmp_path, remote)
    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    named = link(remote, tmp_path)
    assert named.samefile(blob) and not named.is_symlink()
    named.unlink()
    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    assert link(remote, tmp_path).read_bytes() == MODEL_BYTES
    assert not blob.exists()
    assert link(remote, tmp_path) == named


def test_a_blob_that_is_not_there_is_an_error_and_nothing_is_made(remote: RemoteFile, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        link(remote, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_commit_asked_for_by_its_hash_moves_no_branch(hub: Hub, tmp_path: Path) -> None:
    commit = hub.commit_of(REPOSITORY)
    remote = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, MODEL, revision=commit))
    put_blob(tmp_path, remote)
    link(remote, tmp_path)
    assert not (folder(tmp_path) / "refs").exists()
