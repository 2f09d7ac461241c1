from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from filelock import FileLock

from coalm_lite.errors import ModelError, StoreError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.download import Downloaded, download
from coalm_lite.hub.partial import companion_of
from coalm_lite.hub.progress import Progress
from coalm_lite.pull.fetch import Pulled, fetch, recorded
from coalm_lite.pull.plan import PullPlan
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import read_default
from coalm_lite.store.local import local_models
from tests.gguf_models import write_tiny_model
from tests.hub.hub_server import Hub
from tests.pull.conftest import FILE, KEY, OTHER_KEY, OTHER_PLACE, REPOSITORY
from tests.runtime.gguf_bytes import model_file

Planned = Callable[[str], PullPlan]
NOTHING = Downloaded(0, 0, 0)


class Fetching:
    """Pulls a name; `said` and `progress` are what a user would have seen."""

    def __init__(self, planned: Planned, client: HubClient, cache: HubCache) -> None:
        self._planned, self._client, self._cache = planned, client, cache
        self.said: list[str] = []
        self.progress: list[Progress] = []

    def __call__(self, text: str = "8b-q4") -> Pulled:
        return fetch(self._planned(text), self._client, self._cache, self.progress.append, self.said.append)


@pytest.fixture
def fetching(planned: Planned, client: HubClient, cache: HubCache) -> Fetching:
    return Fetching(planned, client, cache)


def files_of_ours(cache: HubCache, repository: str = REPOSITORY) -> list[str]:
    return sorted(path.name for path in cache.own(repository).iterdir())


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def bring_by_another_tool(cache: HubCache, plan: PullPlan, content: bytes) -> Path:
    """The file in the cache as huggingface_hub leaves it."""
    remote = plan.remote
    blob = cache.blob(remote.repository, remote.etag)
    named = cache.snapshot(remote.repository, remote.revision, remote.path)
    for path in (blob, named):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    named.symlink_to(os.path.relpath(blob, named.parent))
    return blob


def test_a_pulled_model_is_linked_recorded_and_the_default(
    fetching: Fetching, hub: Hub, cache: HubCache, tiny_model: Path
) -> None:
    pulled = fetching()
    assert pulled.cost == Downloaded(tiny_model.stat().st_size, 0, 0)
    assert pulled.path == cache.snapshot(REPOSITORY, hub.commit_of(REPOSITORY), FILE)
    assert pulled.path.resolve() == cache.blob(REPOSITORY, hub.hash_of(KEY)).resolve()
    assert digest(pulled.path) == digest(tiny_model)
    (model,) = local_models(cache)
    assert (model.manifest, model.path, model.problem) == (pulled.manifest, pulled.path, "")
    assert (pulled.manifest.name, pulled.manifest.size, pulled.manifest.quant) == ("8b-q4", "8b", "Q4_K_M")
    assert (pulled.manifest.sha256, pulled.manifest.was_here) == (hub.hash_of(KEY), False)
    assert read_default() == "8b-q4"
    assert len(files_of_ours(cache)) == 1, "only the record is left"
    assert fetching.progress[-1].done_bytes == tiny_model.stat().st_size


def test_a_second_pull_fetches_nothing_and_reads_nothing(fetching: Fetching, hub: Hub) -> None:
    first = fetching()
    sent = hub.body_bytes_sent()
    fetching.progress.clear()
    second = fetching()
    assert (second.cost, second.path, hub.body_bytes_sent()) == (NOTHING, first.path, sent)
    assert fetching.progress == []


def test_a_new_commit_of_the_same_bytes_is_linked_without_fetching(fetching: Fetching, hub: Hub) -> None:
    first = fetching()
    sent = hub.body_bytes_sent()
    hub.replace(f"{REPOSITORY}/README.md", b"new words")
    second = fetching()
    assert (second.cost, hub.body_bytes_sent()) == (NOTHING, sent)
    assert second.manifest.revision != first.manifest.revision
    assert second.path.samefile(first.path)


def test_a_file_of_another_tool_is_checked_and_taken_over_without_fetching(
    fetching: Fetching, planned: Planned, cache: HubCache, hub: Hub, tiny_model: Path
) -> None:
    bring_by_another_tool(cache, planned("8b-q4"), tiny_model.read_bytes())
    pulled = fetching()
    assert (pulled.cost, pulled.manifest.was_here, hub.body_bytes_sent()) == (NOTHING, True, 0)
    assert {progress.stage for progress in fetching.progress} == {"hashing"}
    assert "in the cache already" in fetching.said[0]
    assert fetching().manifest.was_here, "and that is not forgotten"


def test_a_damaged_file_of_another_tool_is_replaced(
    fetching: Fetching, planned: Planned, cache: HubCache, tiny_model: Path
) -> None:
    content = bytearray(tiny_model.read_bytes())
    content[-1] ^= 1
    blob = bring_by_another_tool(cache, planned("8b-q4"), bytes(content))
    pulled = fetching()
    assert pulled.cost.fetched_bytes == len(content)
    assert digest(blob) == digest(tiny_model)
    assert "damaged" in fetching.said[1]


def test_a_pull_that_died_after_the_rename_is_finished_without_fetching(
    fetching: Fetching, planned: Planned, cache: HubCache, hub: Hub
) -> None:
    remote = planned("8b-q4").remote
    cache.make_folders(REPOSITORY)
    partial = cache.partial(REPOSITORY, remote.etag)
    download(remote, partial, lambda _: None)
    partial.replace(cache.blob(REPOSITORY, remote.etag))
    sent = hub.body_bytes_sent()
    pulled = fetching()
    assert (pulled.cost, hub.body_bytes_sent()) == (NOTHING, sent)
    assert not pulled.manifest.was_here, "its companion told that the blob is ours"
    assert not companion_of(partial).exists()


def test_bytes_that_are_no_loadable_model_get_no_name_and_are_deleted(
    fetching: Fetching, hub: Hub, cache: HubCache, planned: Planned
) -> None:
    hub.replace(OTHER_KEY, model_file({"llama.rope.scaling.type": "odd"}))
    with pytest.raises(ModelError, match=r"other\.Q8_0\.gguf.*rope\.scaling\.type.*the file was deleted") as caught:
        fetching(OTHER_PLACE)
    assert str(cache.root) not in caught.value.message
    repository = planned(OTHER_PLACE).remote.repository
    assert files_of_ours(cache, repository) == []
    assert list((cache.folder(repository) / "blobs").iterdir()) == []
    assert read_default() is None


def test_a_foreign_file_that_is_no_loadable_model_is_left_alone(
    fetching: Fetching, hub: Hub, planned: Planned, cache: HubCache
) -> None:
    content = model_file({"llama.rope.scaling.type": "odd"})
    hub.replace(OTHER_KEY, content)
    blob = bring_by_another_tool(cache, planned(OTHER_PLACE), content)
    with pytest.raises(ModelError, match="scaling"):
        fetching(OTHER_PLACE)
    assert blob.read_bytes() == content


def test_a_second_pull_waits_for_the_first_and_finds_its_file(
    fetching: Fetching, planned: Planned, cache: HubCache, hub: Hub, client: HubClient
) -> None:
    plan = planned("8b-q4")
    waiting, results = threading.Event(), list[Pulled]()

    def hear(text: str) -> None:
        assert "waiting for it" in text
        waiting.set()

    second = threading.Thread(target=lambda: results.append(fetch(plan, client, cache, lambda _: None, hear)))
    cache.make_folders(REPOSITORY)
    with FileLock(cache.lock(REPOSITORY, plan.remote.etag)):
        second.start()
        assert waiting.wait(60)
        assert results == []
    second.join(60)
    assert results[0].path.is_file()
    assert not cache.lock(REPOSITORY, plan.remote.etag).exists()


def test_an_older_version_stays_whole_when_a_newer_one_is_pulled(
    fetching: Fetching, hub: Hub, tmp_path: Path, tiny_model: Path
) -> None:
    old = fetching()
    newer = write_tiny_model(tmp_path / "newer.gguf", seed=1)
    hub.replace(KEY, newer)
    new = fetching()
    assert digest(old.path) == digest(tiny_model)
    assert digest(new.path) == digest(newer)
    assert new.cost.resumed_bytes == 0
    place = f"hf:{REPOSITORY}@{old.manifest.revision}/{FILE}"
    assert fetching.said == [f"an older version stays on the disk: `coalm-lite rm {place}` deletes it"]


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that knows neither symbolic nor hard links, as a FAT volume."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    yield


def test_without_links_the_file_lies_under_its_name_and_is_found_again(
    fetching: Fetching, hub: Hub, no_links: None, cache: HubCache
) -> None:
    first = fetching()
    assert not first.path.is_symlink()
    assert not cache.blob(REPOSITORY, hub.hash_of(KEY)).exists()
    sent = hub.body_bytes_sent()
    assert (fetching().cost, hub.body_bytes_sent()) == (NOTHING, sent)
    hub.replace(f"{REPOSITORY}/README.md", b"new words")
    assert fetching().path.is_file(), "another commit's folder cannot lead to it: it is fetched again"


def test_a_model_that_was_pulled_is_found_without_the_hub(fetching: Fetching, cache: HubCache) -> None:
    assert recorded("8b-q4", cache) is None
    pulled = fetching()
    again = recorded("8b-q4", cache)
    assert again is not None
    assert (again.manifest, again.path, again.cost) == (pulled.manifest, pulled.path, NOTHING)
    pulled.path.unlink()
    assert recorded("8b-q4", cache) is None
    assert recorded("nonsense", cache) is None


def test_a_cache_that_is_a_file_is_a_clear_error(fetching: Fetching, cache: HubCache, planned: Planned) -> None:
    cache.root.parent.mkdir(parents=True, exist_ok=True)
    cache.root.write_bytes(b"")
    with pytest.raises(StoreError, match=str(cache.root)):
        fetching()
