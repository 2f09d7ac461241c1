from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coalm_lite.errors import CoalmError, StoreError
from coalm_lite.store.cache import HubCache, cache_root, links_to, names_below
from tests.store.pulled import DATA, commit, put

PLACES = [
    {},
    {"HF_HUB_CACHE": "{home}/one"},
    {"HUGGINGFACE_HUB_CACHE": "{home}/two"},
    {"HF_HUB_CACHE": "{home}/one", "HUGGINGFACE_HUB_CACHE": "{home}/two", "HF_HOME": "{home}/three"},
    {"HF_HOME": "{home}/three", "XDG_CACHE_HOME": "{home}/four"},
    {"XDG_CACHE_HOME": "{home}/four"},
    {"HF_HOME": "~/five"},
    {"HF_HUB_CACHE": "$PART/six", "PART": "{home}"},
    {"HF_HOME": "$PART/seven", "PART": "{home}"},
]


def test_the_root_is_the_one_of_huggingface_hub(tmp_path: Path) -> None:
    code = (
        "import importlib, json, os, sys\n"
        "import huggingface_hub.constants as theirs\n"
        "from pathlib import Path\n"
        "from coalm_lite.store.cache import cache_root\n"
        "for place in json.loads(sys.argv[1]):\n"
        "    os.environ.update(place)\n"
        "    importlib.reload(theirs)\n"
        "    print(Path(theirs.HF_HUB_CACHE).absolute() == cache_root(), cache_root())\n"
        "    [os.environ.pop(name) for name in place]\n"
    )
    places = [{name: value.format(home=tmp_path) for name, value in place.items()} for place in PLACES]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(places)], capture_output=True, text=True, check=True, env=environment
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["True"] * len(PLACES)
    assert len({line.split()[1] for line in lines}) == 8


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, _own_home: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "")
    assert cache_root() == _own_home / "huggingface" / "hub"


def test_files_lie_where_huggingface_hub_looks_for_them(cache: HubCache) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    model = put(cache, path="sub/m.gguf")
    assert try_to_load_from_cache("owner/repo", "sub/m.gguf", cache_dir=cache.root) == str(model.path)
    assert model.path.read_bytes() == DATA
    found = scan_cache_dir(cache.root)
    assert not found.warnings
    assert [(repo.repo_id, repo.nb_files) for repo in found.repos] == [("owner/repo", 1)]


def test_a_repository_whose_first_file_is_still_coming_is_no_fault_to_other_tools(cache: HubCache) -> None:
    from huggingface_hub import scan_cache_dir

    cache.make_folders("owner/repo")
    cache.partial("owner/repo", "0" * 64).write_bytes(b"begun")
    found = scan_cache_dir(cache.root)
    assert not found.warnings
    assert [repo.repo_id for repo in found.repos] == ["owner/repo"]
    assert cache.own_folders() == (cache.own("owner/repo"),)


@pytest.mark.parametrize("name", ["../x", "..", "a/../b", "/etc/passwd", "a\\b", "a\0b", "", "C:x", "a//b", "n" * 300])
def test_no_name_leads_out_of_the_cache(cache: HubCache, name: str) -> None:
    for place in (
        lambda: cache.snapshot("owner/repo", commit("first"), name),
        lambda: cache.revision("owner/repo", name),
        lambda: cache.blob("owner/repo", name),
        lambda: cache.partial("owner/repo", name),
        lambda: cache.lock("owner/repo", name),
        lambda: cache.folder(name),
        lambda: cache.folder(f"owner/{name}"),
    ):
        with pytest.raises(CoalmError):
            place()


def test_a_hash_with_a_slash_is_no_hash(cache: HubCache) -> None:
    with pytest.raises(CoalmError, match="not a single name"):
        cache.blob("owner/repo", "a/b")


def test_links_are_found_in_every_revision_and_copies_are_none(cache: HubCache) -> None:
    first, second = put(cache), put(cache, revision="second", path="deep/er/again.gguf")
    other = put(cache, b"other bytes", path="other.gguf")
    hard = cache.snapshot("owner/repo", commit("third"), "hard.gguf")
    hard.parent.mkdir()
    blob = cache.blob("owner/repo", first.manifest.etag)
    hard.hardlink_to(blob)
    hard.with_name("copy.gguf").write_bytes(DATA)
    hard.with_name("absolute.gguf").symlink_to(blob)
    assert set(links_to(blob)) == {first.path, second.path, hard, hard.with_name("absolute.gguf")}
    assert links_to(cache.blob("owner/repo", other.manifest.etag)) == (other.path,)


def test_a_link_to_a_blob_that_is_a_link_to_a_shared_store_leads_to_that_blob(cache: HubCache) -> None:
    model = put(cache)
    blob = cache.blob("owner/repo", model.manifest.etag)
    shared = cache.root / "blobs" / "ab" / "shared"
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    assert links_to(blob) == (model.path,)
    assert model.path.read_bytes() == DATA


def test_a_link_still_leads_to_a_blob_that_is_gone(cache: HubCache) -> None:
    model = put(cache)
    blob = cache.blob("owner/repo", model.manifest.etag)
    blob.unlink()
    assert links_to(blob) == (model.path,)


def test_a_cache_that_is_not_there_is_empty_and_one_that_is_a_file_as_well(tmp_path: Path) -> None:
    assert HubCache(tmp_path / "none").own_folders() == ()
    assert list(names_below(tmp_path / "none")) == []
    (tmp_path / "file").touch()
    assert HubCache(tmp_path / "file").own_folders() == ()
    with pytest.raises(StoreError) as raised:
        HubCache(tmp_path / "file").make_folders("owner/repo")
    assert str(tmp_path / "file") in raised.value.message
    assert raised.value.hint
