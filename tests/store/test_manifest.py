from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import CoalmError, StoreError
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import read_store
from coalm_lite.store.manifest import Manifest, manifest_files, manifest_path, read_manifest, write_manifest
from tests.store.pulled import REPOSITORY, commit, put


def record(cache: HubCache) -> Path:
    """The file of the one record in the cache."""
    (path,) = manifest_files(cache.own(REPOSITORY))
    return path


def test_a_record_reads_back_as_it_was_written(cache: HubCache) -> None:
    manifest = replace(put(cache).manifest, dialects=("cra", "dst"), name="grüße", converter="x 1")
    path = write_manifest(cache, manifest)
    assert read_manifest(cache, path) == manifest
    assert path == record(cache)
    assert path.parent == cache.own(REPOSITORY)


def test_each_revision_and_path_has_a_record_of_its_own_and_long_names_fit(cache: HubCache) -> None:
    manifest = put(cache).manifest
    others = [
        manifest,
        replace(manifest, revision=commit("second")),
        replace(manifest, path="sub/model.Q4_K_M.gguf"),
        replace(manifest, path="ü" * 120 + ".gguf"),
    ]
    assert len({write_manifest(cache, other) for other in others}) == len(others)
    assert {model.manifest for model in read_store(cache).models} == set(others)


def test_partial_files_and_locks_are_no_records(cache: HubCache) -> None:
    put(cache)
    partial = cache.partial(REPOSITORY, "0" * 64)
    for path in (partial, partial.with_name(f"{partial.name}.json"), cache.lock(REPOSITORY, "0" * 64)):
        path.write_text("{}")
    assert len(manifest_files(cache.own(REPOSITORY))) == 1


WRONG: list[dict[str, object]] = [
    {"repository": "../../x"},
    {"repository": "owner"},
    {"path": "../../../etc/passwd"},
    {"path": "/etc/passwd"},
    {"path": ""},
    {"revision": ".."},
    {"revision": "main"},
    {"etag": "../../blobs"},
    {"etag": "0" * 63},
    {"sha256": "0" * 64},
    {"sha256": 5},
    {"size_bytes": -1},
    {"size_bytes": True},
    {"size_bytes": 10**400},
    {"size_bytes": "5"},
    {"dialects": "cra"},
    {"dialects": [1]},
    {"was_here": 0},
    {"name": None},
    {"format": 2},
    {"more": 1},
    {"path": "another.gguf"},
]


def test_a_record_of_before_there_were_scores_can_be_read(cache: HubCache) -> None:
    manifest = put(cache).manifest
    path = record(cache)
    values = json.loads(path.read_text())
    del values["scores"]
    path.write_text(json.dumps(values))
    assert read_manifest(cache, path) == manifest


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_wrong_record_is_refused_with_its_file_and_listed_models_stay(
    cache: HubCache, change: dict[str, object]
) -> None:
    put(cache)
    path = record(cache)
    good = put(cache, b"good", path="good.gguf")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreError) as raised:
        read_manifest(cache, path)
    assert str(path) in raised.value.message
    assert raised.value.hint
    store = read_store(cache)
    assert store.models == (good,)
    assert [str(error) for error in store.damaged] == [raised.value.message]
    assert path.exists()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 20) + b"{}", b"null"])
def test_what_is_no_record_is_refused(cache: HubCache, data: bytes) -> None:
    put(cache)
    record(cache).write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(cache, record(cache))


@pytest.mark.parametrize("key", [field.name for field in fields(Manifest) if field.name != "scores"])
def test_a_record_without_one_of_its_keys_is_refused(cache: HubCache, key: str) -> None:
    put(cache)
    values = json.loads(record(cache).read_text())
    del values[key]
    record(cache).write_text(json.dumps(values))
    with pytest.raises(StoreError, match=f"'{key}' is missing"):
        read_manifest(cache, record(cache))


def test_a_record_in_another_repositorys_folder_is_refused(cache: HubCache) -> None:
    put(cache)
    put(cache, b"else", repository="owner/else")
    moved = cache.own("owner/else") / record(cache).name
    record(cache).rename(moved)
    with pytest.raises(StoreError, match="wrong place"):
        read_manifest(cache, moved)


@pytest.mark.parametrize(
    "change", [{"path": "../x"}, {"revision": "x"}, {"etag": "x"}, {"repository": "x"}, {"sha256": ""}], ids=str
)
def test_a_record_that_could_not_be_read_is_not_written(cache: HubCache, change: dict[str, str]) -> None:
    manifest = put(cache).manifest
    with pytest.raises(CoalmError):
        write_manifest(cache, replace(manifest, **change))  # type: ignore[arg-type]  # the keys differ from case to case
    assert len(manifest_files(cache.own(REPOSITORY))) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([field.name for field in fields(Manifest)]), json_values)
def test_any_json_value_in_a_record_is_read_or_refused(key: str, value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = HubCache(Path(folder))
        manifest = put(cache).manifest
        path = manifest_path(cache, manifest)
        path.write_text(json.dumps({"format": 1, **asdict(manifest), key: value}))
        try:
            assert isinstance(read_manifest(cache, path), Manifest)
        except StoreError as error:
            assert error.hint
