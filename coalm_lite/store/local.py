"""The pulled models: each record in the cache, with its file or what is wrong with it.

Only what coalm-lite pulled is listed; the cache's other files are other tools' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.store.cache import HubCache
from coalm_lite.store.manifest import Manifest, manifest_files, read_manifest


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A pulled model. `path` is its file's own name in the cache; `problem` says why it cannot be used, "" if it can.

    Only presence and length are looked at here; `verify` reads the bytes.
    """

    manifest: Manifest
    path: Path
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
    """All that was pulled, newest first, and what is wrong with each record that cannot be read."""

    models: tuple[LocalModel, ...]
    damaged: tuple[StoreError, ...]


def read_store(cache: HubCache) -> Store:
    """What lies in the cache; StoreError when the cache itself cannot be read."""
    models: list[LocalModel] = []
    damaged: list[StoreError] = []
    for folder in cache.own_folders():
        try:
            paths = manifest_files(folder)
        except StoreError as error:
            damaged.append(error)
            continue
        for path in paths:
            try:
                models.append(_local_model(cache, read_manifest(cache, path)))
            except StoreError as error:
                damaged.append(error)
    models.sort(key=lambda model: (model.manifest.pulled_at, model.place), reverse=True)
    return Store(tuple(models), tuple(damaged))


def local_models(cache: HubCache) -> tuple[LocalModel, ...]:
    """The pulled models, the newest pull first."""
    return read_store(cache).models


def _local_model(cache: HubCache, manifest: Manifest) -> LocalModel:
    path = cache.snapshot(manifest.repository, manifest.revision, manifest.path)
    return LocalModel(manifest, path, _problem(path, manifest.size_bytes))


def _problem(path: Path, size_bytes: int) -> str:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return "the file is gone"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return "" if found == size_bytes else f"the file has {found} bytes, not {size_bytes}"
