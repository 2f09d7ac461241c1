"""Deleting one model's file from the shared cache.

A blob is deleted only when no name in any snapshot leads to it, and a revision's other files stay. The record goes
last, so that a removal that was cut short can be done again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.store.cache import HubCache, links_to
from coalm_lite.store.files import store_errors
from coalm_lite.store.local import LocalModel
from coalm_lite.store.locks import held
from coalm_lite.store.manifest import manifest_path
from coalm_lite.store.tidy import tidy_repository, tidy_revision


@dataclass(frozen=True, slots=True)
class RemovePlan:
    """What removing a model deletes. `other_links` are names, of other tools or revisions, that keep the blob.

    `freed_bytes` is what the disk gains; a blob in a store that repositories share frees nothing here.
    """

    model: LocalModel
    blob: Path
    other_links: tuple[Path, ...]
    freed_bytes: int

    @property
    def needs_consent(self) -> bool:
        """Whether another tool brought the file, which may still want it."""
        return self.model.manifest.was_here


def plan_remove(cache: HubCache, model: LocalModel) -> RemovePlan:
    """What `remove` would delete."""
    blob = cache.blob(model.manifest.repository, model.manifest.etag)
    others = tuple(link for link in links_to(blob) if link != model.path)
    files = [model.path] if others else [model.path, blob]
    return RemovePlan(model, blob, others, freed_bytes(files))


def remove(cache: HubCache, model: LocalModel) -> int:
    """The bytes that deleting the model's file freed; StoreError when it is being fetched or cannot be deleted."""
    manifest = model.manifest
    with held(cache.lock(manifest.repository, manifest.etag)) as free, store_errors(model.path):
        if not free:
            raise StoreError(
                f"{manifest.name} is being fetched or deleted by another coalm-lite",
                "Wait until it is done, then try again.",
            )
        plan = plan_remove(cache, model)  # anew, under the lock
        model.path.unlink(missing_ok=True)
        if not plan.other_links:
            plan.blob.unlink(missing_ok=True)
        manifest_path(cache, manifest).unlink(missing_ok=True)
    tidy_revision(cache, manifest)
    tidy_repository(cache.folder(manifest.repository))
    return plan.freed_bytes


def freed_bytes(paths: Iterable[Path]) -> int:
    """What deleting all of `paths` frees: a link's own bytes do not count, nor do bytes that have more names."""
    names: Counter[tuple[int, int]] = Counter()
    states: dict[tuple[int, int], os.stat_result] = {}
    for path in dict.fromkeys(paths):
        with store_errors(path):
            if path.is_file() and not path.is_symlink():
                state = path.stat()
                names[state.st_dev, state.st_ino] += 1
                states[state.st_dev, state.st_ino] = state
    return sum(state.st_size for key, state in states.items() if names[key] >= state.st_nlink)
