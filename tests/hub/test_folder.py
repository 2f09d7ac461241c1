"""A repository's listing is of one commit, gives files with hash and size, and refuses names that lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.errors import HubError, UsageError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import HubPlace
from tests.hub.conftest import KEY, LICENSE, MODEL, MODEL_BYTES, QUICK, REPOSITORY
from tests.hub.hub_server import Hub


def test_a_listing_has_every_file_with_its_hash(hub: Hub) -> None:
    folder = HubClient(waits=QUICK).folder(HubPlace(REPOSITORY))
    assert len(hub.requests) == 2, "one for the commit, one for all files"
    assert sorted(folder.entries) == ["CoALM-test.Q4_K.gguf", MODEL, "README.md"]
    assert (folder.license, folder.gated, folder.branch) == (LICENSE, False, "main")
    assert folder.place == f"hf:{REPOSITORY}@{hub.commit_of(REPOSITORY)}"
    remote = folder.file(MODEL)
    assert (remote.etag, remote.size_bytes, remote.revision) == (
        hub.hash_of(KEY),
        len(MODEL_BYTES),
        hub.commit_of(REPOSITORY),
    )
    assert not folder.file("README.md").sha256


def test_a_small_file_is_fetched_whole_and_checked(hub: Hub, tmp_path: Path) -> None:
    client = HubClient(waits=QUICK)
    remote = client.folder(HubPlace(REPOSITORY)).file("README.md")
    hub.faults.flip.append(3)
    client.fetch(remote, tmp_path / "README.md")
    assert (tmp_path / "README.md").read_bytes() == b"A model for tests.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_file_that_there_is_not_is_named(hub: Hub) -> None:
    folder = HubClient(waits=QUICK).folder(HubPlace(REPOSITORY))
    with pytest.raises(HubError, match=f"{REPOSITORY}/none.json: there is no such file"):
        folder.file("none.json")


def test_a_hostile_name_in_the_listing_harms_only_who_asks_for_it(hub: Hub) -> None:
    hub.faults.listed_names.append("../../evil")
    folder = HubClient(waits=QUICK).folder(HubPlace(REPOSITORY))
    assert folder.file(MODEL).path == MODEL
    with pytest.raises(UsageError, match="leads elsewhere"):
        folder.file("../../evil")


def test_offline_asks_nobody(hub: Hub) -> None:
    with pytest.raises(HubError, match="--offline forbids to ask the Hub"):
        HubClient(offline=True).folder(HubPlace(REPOSITORY))
    assert hub.requests == []
