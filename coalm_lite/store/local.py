"""The pulled models: each record in the cache, with its file or what is wrong with it; and those that were built here.

Only what coalm-lite pulled or built is listed; the cache's other files are other tools' business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.store.cache import HubCache
from coalm_lite.store.manifest import Manifest, manifest_files, read_manifest


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A pulled or built model. `path` is its file's own name in `cache`; `problem` says why it cannot be used.

    Only presence and length are looked at here; `verify` reads the bytes. `problem` is "" for one that can be used.
    """

    manifest: Manifest
    path: Path
    cache: HubCache
    problem: str = ""

    @property
    def present(self) -> bool:
        """Whether the file is there in its full length."""
        return not self.problem

    @property
    def place(self) -> str:
        """The model's full name, which no other has: `hf:owner/repo@revision/path`."""
        manifest = self.manifest
        return f"hf:{manifest.repository}@{manifest.revision}/{manifest.path}"


@dataclass(frozen=True, slots=True)
class Store:
    """All that was pulled or built, newest first, and what is wrong with each record that cannot be read."""

    models: tuple[LocalModel, ...]
    damaged: tuple[StoreError, ...]


def read_store(cache: HubCache) -> Store:
    """What lies in the cache, and what was built here; StoreError when a cache itself cannot be read."""
    models: list[LocalModel] = []
    damaged: list[StoreError] = []
    for place in dict.fromkeys((cache, HubCache.of_built())):
        for path in _records(place, damaged):
            try:
                models.append(_local_model(place, read_manifest(place, path)))
            except StoreError as error:
                damaged.append(error)
    models.sort(key=lambda model: (model.manifest.pulled_at, model.place), reverse=True)
    return Store(tuple(models), tuple(damaged))


def _records(cache: HubCache, damaged: list[StoreError]) -> Iterator[Path]:
    """The records' files; the error of a folder that cannot be read joins the damaged."""
    for folder in cache.own_folders():
        try:
            yield from manifest_files(folder)
        except StoreError as error:
            damaged.append(error)


def local_models(cache: HubCache) -> tuple[LocalModel, ...]:
    """The pulled models and those that were built here, the newest first."""
    return read_store(cache).models


def _local_model(cache: HubCache, manifest: Manifest) -> LocalModel:
    path = cache.snapshot(manifest.repository, manifest.revision, manifest.path)
    return LocalModel(manifest, path, cache, _problem(path, manifest.size_bytes))


def _problem(path: Path, size_bytes: int) -> str:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return "the file is gone"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return "" if found == size_bytes else f"the file has {found} bytes, not {size_bytes}"
