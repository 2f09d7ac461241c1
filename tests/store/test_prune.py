from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from coalm_lite.hub.partial import companion_of
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import local_models
from coalm_lite.store.manifest import manifest_files
from coalm_lite.store.prune import plan_prune, prune
from tests.store.pulled import DATA, REPOSITORY, files_below, put

ETAG = "ab" * 32


def begin(cache: HubCache, etag: str = ETAG, data: bytes | None = b"begun") -> Path:
    """A download that was interrupted."""
    cache.make_folders(REPOSITORY)
    partial = cache.partial(REPOSITORY, etag)
    companion_of(partial).write_text("{}")
    if data is not None:
        partial.write_bytes(data)
    return partial


def test_a_cache_in_order_has_nothing_to_prune(cache: HubCache) -> None:
    put(cache)
    before = files_below(cache.root)
    assert plan_prune(cache).leftovers == ()
    assert prune(cache, plan_prune(cache)) == 0
    assert files_below(cache.root) == before


def test_a_cache_that_is_not_there_has_nothing_to_prune_and_is_not_made(cache: HubCache) -> None:
    assert plan_prune(cache).leftovers == ()
    assert not cache.root.exists()


def test_an_interrupted_download_goes_with_its_companion_and_empty_folders(cache: HubCache) -> None:
    begin(cache)
    plan = plan_prune(cache)
    assert [leftover.what for leftover in plan.leftovers] == ["an unfinished download"]
    assert plan.freed_bytes == len(b"begun{}")
    assert prune(cache, plan) == len(b"begun{}")
    assert list(cache.root.iterdir()) == []


def test_a_download_that_is_running_is_left(cache: HubCache) -> None:
    partial = begin(cache)
    with FileLock(cache.lock(REPOSITORY, ETAG)):
        plan = plan_prune(cache)
        assert (plan.leftovers, plan.in_use) == ((), 1)
    plan = plan_prune(cache)
    with FileLock(cache.lock(REPOSITORY, ETAG)):
        assert prune(cache, plan) == 0
    assert partial.exists()


def test_a_download_that_went_on_since_the_plan_is_left(cache: HubCache) -> None:
    partial = begin(cache)
    plan = plan_prune(cache)
    partial.write_bytes(b"begun, and more")
    assert prune(cache, plan) == 0
    assert partial.exists()


def test_a_download_that_was_finished_since_the_plan_is_left(cache: HubCache) -> None:
    model = put(cache, linked=False)
    plan = plan_prune(cache)
    assert len(plan.leftovers) == 1
    assert put(cache) == local_models(cache)[0]
    assert prune(cache, plan) == 0
    assert model.path.read_bytes() == DATA
    assert local_models(cache)[0].present


def test_whole_bytes_without_a_name_go_only_when_a_pull_of_ours_left_them(cache: HubCache) -> None:
    begin(cache, data=None)
    blob = cache.blob(REPOSITORY, ETAG)
    blob.write_bytes(DATA)
    theirs = cache.blob(REPOSITORY, "cd" * 32)
    theirs.write_bytes(b"theirs")
    prune(cache, plan_prune(cache))
    assert not blob.exists()
    assert theirs.exists()


def test_bytes_that_another_tool_has_named_since_are_left(cache: HubCache) -> None:
    model = put(cache)
    begin(cache, model.manifest.etag, data=None)
    prune(cache, plan_prune(cache))
    assert model.path.read_bytes() == DATA
    assert local_models(cache) == (model,)


@pytest.mark.parametrize("how", ["link gone", "blob gone", "both gone"])
def test_a_record_without_its_file_goes_with_what_is_left_of_it(cache: HubCache, how: str) -> None:
    data = DATA * 100
    model = put(cache, data)
    blob = model.path.resolve()
    if how != "link gone":
        blob.unlink()
    if how != "blob gone":
        model.path.unlink()
    plan = plan_prune(cache)
    assert len(plan.leftovers) == 1
    assert model.manifest.name in plan.leftovers[0].what
    assert (prune(cache, plan) >= len(data)) == (how == "link gone")
    assert not cache.folder(REPOSITORY).exists()


def test_bytes_that_others_lead_to_or_brought_stay_when_our_record_goes(cache: HubCache) -> None:
    put(cache, linked=False)
    second = put(cache, revision="second")
    theirs = put(cache, b"theirs", path="theirs.gguf", was_here=True, linked=False)
    prune(cache, plan_prune(cache))
    assert second.path.read_bytes() == DATA
    assert cache.blob(REPOSITORY, theirs.manifest.etag).exists()
    assert local_models(cache) == (second,)


def test_a_damaged_record_is_left(cache: HubCache) -> None:
    put(cache)
    (record,) = manifest_files(cache.own(REPOSITORY))
    record.write_text("{")
    prune(cache, plan_prune(cache))
    assert record.exists()


def test_half_made_files_go_when_nobody_can_be_writing_them(cache: HubCache) -> None:
    model = put(cache)
    places = [cache.own(REPOSITORY), model.path.parent]
    old, new = [place / f".new-{'1' * 16}" for place in places], [place / f".new-{'2' * 16}" for place in places]
    theirs = model.path.with_name(".new-model.gguf")
    hour_ago = time.time() - 3700
    for path in (*old, theirs):
        path.symlink_to(model.path.resolve())
        os.utime(path, (hour_ago, hour_ago), follow_symlinks=False)
    for path in new:
        path.touch()
    prune(cache, plan_prune(cache))
    assert not any(path.is_symlink() for path in old)
    assert theirs.is_symlink()
    assert all(path.exists() for path in new)
    assert model.path.read_bytes() == DATA


def test_an_unfinished_build_goes_with_its_journal(cache: HubCache) -> None:
    built = HubCache.of_built()
    built.make_folders(REPOSITORY)
    for end in (".partial", ".partial.journal"):
        (built.own(REPOSITORY) / f"model.gguf{end}").write_bytes(b"begun")
    assert plan_prune(cache).leftovers == ()
    plan = plan_prune(built)
    assert [path.name for path in plan.leftovers[0].paths] == ["model.gguf.partial", "model.gguf.partial.journal"]
    assert prune(built, plan) == 2 * len(b"begun")
    assert list(built.root.iterdir()) == []


def test_a_cache_is_not_pruned_of_what_another_has(cache: HubCache) -> None:
    gone = put(HubCache.of_built())
    gone.path.unlink()
    assert plan_prune(cache).leftovers == ()
    assert len(plan_prune(HubCache.of_built()).leftovers) == 1
