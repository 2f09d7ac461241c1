"""A real cache with pulled files in it, made as a pull makes them: blob, link, record."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from coalm_lite.hub.remote import RemoteFile
from coalm_lite.hub.snapshot import link
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import LocalModel, local_models
from coalm_lite.store.manifest import Manifest, write_manifest

REPOSITORY = "owner/repo"
DATA = b"some bytes of a model"


def commit(label: str) -> str:
    """A commit's hash."""
    return hashlib.sha1(label.encode()).hexdigest()


def put(
    cache: HubCache,
    data: bytes = DATA,
    *,
    name: str = "",
    repository: str = REPOSITORY,
    path: str = "model.Q4_K_M.gguf",
    revision: str = "first",
    was_here: bool = False,
    pulled_at: str = "2026-01-02T03:04:05Z",
    linked: bool = True,
) -> LocalModel:
    """The model of these bytes, in the cache and on record; not `linked`: its link is missing."""
    etag = hashlib.sha256(data).hexdigest()
    cache.make_folders(repository)
    cache.blob(repository, etag).write_bytes(data)
    remote = RemoteFile(repository, path, commit(revision), etag, len(data), "mit")
    if linked:
        link(remote, cache.root)
    manifest = Manifest(
        name=name or f"hf:{repository}/{path}",
        repository=repository,
        path=path,
        revision=remote.revision,
        etag=etag,
        sha256=etag,
        size_bytes=len(data),
        license="mit",
        dialects=(),
        size="",
        quant="Q4_K_M",
        pulled_at=pulled_at,
        was_here=was_here,
    )
    write_manifest(cache, manifest)
    return next(model for model in local_models(cache) if model.manifest == manifest)


def files_below(folder: Path) -> set[str]:
    """All files and links below a folder, by their relative names."""
    return {Path(place, name).relative_to(folder).as_posix() for place, _, names in os.walk(folder) for name in names}


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    """An empty cache."""
    return HubCache(tmp_path / "hub")
