"""What can be deleted of ours without losing a model: parts of files that did not come to their end, and orphans.

Only what our records and partial files tell of is looked at. A partial file whose lock is held is being fetched and is
left; so is a blob that any snapshot leads to, or that was in the cache before we came, and so is a damaged record.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.store.cache import (
    COMPANION_SUFFIX,
    JOURNAL_SUFFIX,
    LOCK_SUFFIX,
    PARTIAL_SUFFIX,
    HubCache,
    links_to,
    names_below,
)
from coalm_lite.store.files import is_half_made, store_errors
from coalm_lite.store.local import LocalModel, local_models
from coalm_lite.store.locks import held
from coalm_lite.store.manifest import manifest_path
from coalm_lite.store.remove import freed_bytes
from coalm_lite.store.tidy import tidy_repository, tidy_revision

_OLD_S = 3600.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """Files that belong together and can go, named in plain words by `what`; `model` is their record, if any."""

    what: str
    paths: tuple[Path, ...]
    freed_bytes: int
    lock: Path
    model: LocalModel | None = None


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What `prune` would delete, and how many leftovers stay because they are being fetched."""

    leftovers: tuple[Leftover, ...]
    in_use: int

    @classmethod
    def of_all(cls, plans: Iterable[PrunePlan]) -> PrunePlan:
        """Several plans as one."""
        parts = tuple(plans)
        leftovers = tuple(leftover for part in parts for leftover in part.leftovers)
        return cls(leftovers, sum(part.in_use for part in parts))

    @property
    def freed_bytes(self) -> int:
        """What the disk gains in all."""
        return sum(leftover.freed_bytes for leftover in self.leftovers)


def plan_prune(cache: HubCache) -> PrunePlan:
    """What can be deleted of a cache now."""
    free: list[Leftover] = []
    in_use = 0
    for leftover in _leftovers(cache):
        with held(leftover.lock) as is_free:
            if is_free:
                free.append(leftover)
            else:
                in_use += 1
    return PrunePlan(tuple(free), in_use)


def prune(cache: HubCache, plan: PrunePlan) -> int:
    """The bytes that deleting the plan's leftovers freed; one that has come to use since then is left."""
    freed = 0
    for leftover in plan.leftovers:
        with held(leftover.lock) as is_free:
            if is_free and leftover in _leftovers(cache):
                freed += leftover.freed_bytes
                _delete(cache, leftover)
        tidy_repository(leftover.lock.parent.parent)
    return freed


def _delete(cache: HubCache, leftover: Leftover) -> None:
    for path in leftover.paths:
        with store_errors(path):
            path.unlink(missing_ok=True)
    if leftover.model is not None:
        tidy_revision(cache, leftover.model.manifest)


def _leftovers(cache: HubCache) -> list[Leftover]:
    models = tuple(model for model in local_models(cache) if model.cache == cache)
    with store_errors(cache.root):
        found = [leftover for own in cache.own_folders() for leftover in _unfinished(own, models)]
        return found + [_orphan(cache, model) for model in models if not model.path.exists()]


def _unfinished(own: Path, models: tuple[LocalModel, ...]) -> Iterator[Leftover]:
    """Partial files with what belongs to them, and names that were being made when a pull was killed."""
    names = sorted(path.name for path in own.iterdir())
    ends = (PARTIAL_SUFFIX, COMPANION_SUFFIX, JOURNAL_SUFFIX)
    etags = {name.removesuffix(end) for end in ends for name in names if name.endswith(end)}
    for etag in sorted(etags):
        paths = [own / f"{etag}{end}" for end in ends if f"{etag}{end}" in names]
        blob = own.parent / "blobs" / etag
        recorded = any(model.manifest.etag == etag for model in models)
        if not (own / f"{etag}{PARTIAL_SUFFIX}").exists() and blob.exists() and not recorded and not links_to(blob):
            paths.append(blob)  # whole, but the pull ended before it got a name
        yield _leftover("an unfinished download", paths, own / f"{etag}{LOCK_SUFFIX}")
    for path in (*own.iterdir(), *names_below(own.parent / "snapshots")):
        if is_half_made(path) and _is_old(path):
            yield _leftover("a half-made file", [path], own / f"{path.name}{LOCK_SUFFIX}")


def _orphan(cache: HubCache, model: LocalModel) -> Leftover:
    """The record of a file whose name is gone, and its bytes when they are ours and nothing leads to them."""
    manifest = model.manifest
    blob = cache.blob(manifest.repository, manifest.etag)
    ours = blob.exists() and not manifest.was_here and all(link == model.path for link in links_to(blob))
    paths = ([model.path] if model.path.is_symlink() else []) + ([blob] if ours else [])
    lock = cache.lock(manifest.repository, manifest.etag)
    what = f"the record of {manifest.name}, whose file is gone"
    return _leftover(what, [*paths, manifest_path(cache, manifest)], lock, model)


def _leftover(what: str, paths: list[Path], lock: Path, model: LocalModel | None = None) -> Leftover:
    return Leftover(what, tuple(paths), freed_bytes(paths), lock, model)


def _is_old(path: Path) -> bool:
    """Whether nobody can be writing it still."""
    return time.time() - path.lstat().st_mtime > _OLD_S
