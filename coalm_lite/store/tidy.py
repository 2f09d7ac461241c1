"""Taking away the empty folders that a deletion leaves, and branch records of a revision that is gone.

huggingface_hub takes a repository for damaged whose branch names a revision without a folder, so the two go together.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from coalm_lite.store.cache import OWN_FOLDER, HubCache, names_below
from coalm_lite.store.files import store_errors
from coalm_lite.store.manifest import Manifest


def tidy_revision(cache: HubCache, manifest: Manifest) -> None:
    """Remove the revision's folders as far as they are empty; with the last one, the branches that name it."""
    top = cache.revision(manifest.repository, manifest.revision)
    with store_errors(top):
        for folder in cache.snapshot(manifest.repository, manifest.revision, manifest.path).parents:
            _remove_if_empty(folder)
            if folder == top:
                break
        if not top.exists():
            for branch in names_below(cache.folder(manifest.repository) / "refs"):
                if branch.read_bytes().strip() == manifest.revision.encode():
                    branch.unlink(missing_ok=True)


def tidy_repository(folder: Path) -> None:
    """Remove our empty folder, and the repository's when no file at all is left below it."""
    with store_errors(folder):
        _remove_if_empty(folder / OWN_FOLDER)
        if next(names_below(folder), None) is None:
            for place, _, _ in os.walk(folder, topdown=False):
                _remove_if_empty(Path(place))


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty, or gone: rmdir itself is the check, so that nothing is lost to a race
        folder.rmdir()
