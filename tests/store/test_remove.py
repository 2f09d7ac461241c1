from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub import scan_cache_dir

from coalm_lite.errors import StoreError
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import local_models
from coalm_lite.store.manifest import manifest_path
from coalm_lite.store.remove import freed_bytes, plan_remove, remove
from tests.store.pulled import DATA, REPOSITORY, commit, files_below, put


def refs(cache: HubCache, branch: str = "main", revision: str = "first") -> None:
    path = cache.folder(REPOSITORY) / "refs" / branch
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit(revision))


def test_the_last_model_of_a_repository_goes_with_all_that_was_made_for_it(cache: HubCache) -> None:
    model = put(cache, path="deep/er/m.gguf")
    refs(cache)
    refs(cache, "refs/pr/1")
    assert plan_remove(cache, model).freed_bytes == len(DATA)
    assert remove(cache, model) == len(DATA)
    assert list(cache.root.iterdir()) == []


def test_other_files_of_the_revision_and_what_other_tools_brought_stay_and_can_be_scanned(cache: HubCache) -> None:
    model = put(cache)
    refs(cache)
    config = model.path.with_name("config.json")
    config.write_text("{}")
    (cache.folder(REPOSITORY) / "blobs" / "theirs").write_bytes(b"x")
    remove(cache, model)
    assert files_below(cache.folder(REPOSITORY)) == {
        "blobs/theirs",
        "refs/main",
        f"snapshots/{commit('first')}/config.json",
    }
    assert not scan_cache_dir(cache.root).warnings


def test_branches_of_the_revision_go_with_its_last_file_and_others_stay(cache: HubCache) -> None:
    model = put(cache)
    other = put(cache, b"other", revision="second")
    refs(cache, "main", "second")
    refs(cache, "old", "first")
    remove(cache, model)
    assert files_below(cache.folder(REPOSITORY) / "refs") == {"main"}
    assert local_models(cache) == (other,)
    assert not scan_cache_dir(cache.root).warnings


def test_bytes_stay_while_another_revision_leads_to_them(cache: HubCache) -> None:
    first, second = put(cache), put(cache, revision="second")
    plan = plan_remove(cache, first)
    assert (plan.other_links, plan.freed_bytes) == ((second.path,), 0)
    assert remove(cache, first) == 0
    assert second.path.read_bytes() == DATA
    assert local_models(cache) == (second,)
    assert remove(cache, second) == len(DATA)
    assert not cache.folder(REPOSITORY).exists()


def test_bytes_stay_while_another_tools_link_leads_to_them(cache: HubCache) -> None:
    model = put(cache)
    theirs = cache.snapshot(REPOSITORY, commit("theirs"), "renamed.gguf")
    theirs.parent.mkdir()
    theirs.symlink_to(model.path.resolve())
    assert remove(cache, model) == 0
    assert theirs.read_bytes() == DATA
    assert not cache.own(REPOSITORY).exists()


def test_a_snapshot_that_is_the_file_itself_goes(cache: HubCache) -> None:
    model = put(cache)
    model.path.resolve().replace(model.path)
    assert not model.path.is_symlink()
    assert plan_remove(cache, local_models(cache)[0]).freed_bytes == len(DATA)
    assert remove(cache, model) == len(DATA)
    assert not cache.folder(REPOSITORY).exists()


def test_a_copy_and_its_blob_go_and_another_revisions_copy_stays(cache: HubCache) -> None:
    first, second = put(cache), put(cache, revision="second")
    for model in (first, second):
        model.path.unlink()
        model.path.write_bytes(DATA)
    assert remove(cache, first) == 2 * len(DATA)
    assert second.path.read_bytes() == DATA
    assert not first.path.exists()


def test_hard_links_count_once_and_keep_the_blob_for_another_revision(cache: HubCache) -> None:
    first, second = put(cache), put(cache, revision="second")
    blob = first.path.resolve()
    for model in (first, second):
        model.path.unlink()
        model.path.hardlink_to(blob)
    assert remove(cache, first) == 0
    assert blob.exists()
    assert remove(cache, second) == len(DATA)
    assert not blob.exists()


def test_a_model_that_is_being_fetched_is_not_removed(cache: HubCache) -> None:
    model = put(cache)
    before = files_below(cache.root)
    with FileLock(cache.lock(REPOSITORY, model.manifest.etag)), pytest.raises(StoreError, match="another coalm-lite"):
        remove(cache, model)
    assert before <= files_below(cache.root)
    assert remove(cache, model) == len(DATA)


def test_a_removal_that_was_cut_short_can_be_done_again(cache: HubCache) -> None:
    model = put(cache)
    model.path.unlink()
    (found,) = local_models(cache)
    assert not found.present
    assert remove(cache, found) == len(DATA)
    assert not cache.folder(REPOSITORY).exists()


def test_the_blob_that_is_a_link_to_a_shared_store_goes_and_the_store_stays(cache: HubCache) -> None:
    model = put(cache)
    blob = cache.blob(REPOSITORY, model.manifest.etag)
    shared = cache.root / "blobs" / "shared"
    shared.parent.mkdir()
    blob.rename(shared)
    blob.symlink_to(shared)
    assert remove(cache, model) == 0
    assert shared.read_bytes() == DATA
    assert not cache.folder(REPOSITORY).exists()


def test_a_removal_that_the_disk_refuses_keeps_the_record(cache: HubCache) -> None:
    model = put(cache)
    model.path.unlink()
    (model.path / "not").mkdir(parents=True)
    with pytest.raises(StoreError) as raised:
        remove(cache, model)
    assert str(model.path) in raised.value.message
    assert manifest_path(cache, model.manifest).exists()


def test_only_who_was_here_before_needs_consent(cache: HubCache) -> None:
    assert not plan_remove(cache, put(cache)).needs_consent
    assert plan_remove(cache, put(cache, path="b.gguf", was_here=True)).needs_consent


def test_what_is_not_there_frees_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert freed_bytes([tmp_path / "none", tmp_path]) == 0
    assert freed_bytes([tmp_path / "file", tmp_path / "file"]) == 5
