"""Whether a file's bytes are in the cache already, brought by us or by another tool."""

from __future__ import annotations

from pathlib import Path

from coalm_lite.hub.remote import RemoteFile
from coalm_lite.store.cache import HubCache
from coalm_lite.store.files import store_errors
from coalm_lite.store.local import LocalModel, local_models


def kept_file(cache: HubCache, remote: RemoteFile) -> Path | None:
    """Where bytes of the right length lie: the blob, or the file itself where links are not possible."""
    blob = cache.blob(remote.repository, remote.etag)
    named = cache.snapshot(remote.repository, remote.revision, remote.path)
    with store_errors(cache.root):
        return next(
            (path for path in (blob, named) if path.is_file() and path.stat().st_size == remote.size_bytes), None
        )


def partial_bytes(cache: HubCache, remote: RemoteFile) -> int:
    """How many of the file's bytes an unfinished pull has brought."""
    partial = cache.partial(remote.repository, remote.etag)
    with store_errors(partial):
        return min(partial.stat().st_size, remote.size_bytes) if partial.is_file() else 0


def record_of(cache: HubCache, remote: RemoteFile) -> LocalModel | None:
    """Our record of these bytes at any revision, when the file is there; their hash was checked when it was written."""
    wanted = (remote.repository, remote.etag)
    found = (model for model in local_models(cache) if (model.manifest.repository, model.manifest.etag) == wanted)
    return next((model for model in found if model.present), None)


def older_versions(cache: HubCache, remote: RemoteFile) -> tuple[LocalModel, ...]:
    """The same file as it was pulled with other bytes, which still take room."""
    found = (model for model in local_models(cache) if model.present and model.manifest.etag != remote.etag)
    wanted = (remote.repository, remote.path)
    return tuple(model for model in found if (model.manifest.repository, model.manifest.path) == wanted)
