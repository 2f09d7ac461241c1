"""Bring a planned model into the cache: under a lock, checked in full before it gets its final name, then recorded.

The order keeps every moment safe to be killed in: bytes into the partial, hash, header check, rename to the blob, link,
record, and last the partial's companion, by which a blob without a record is known as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.download import Downloaded, download
from coalm_lite.hub.partial import companion_of, discard
from coalm_lite.hub.progress import Meter, Progress
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.pull.plan import PullPlan
from coalm_lite.pull.presence import kept_file, older_versions, record_of
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import set_default
from coalm_lite.store.files import store_errors
from coalm_lite.store.manifest import Manifest, write_manifest
from coalm_lite.store.names import pulled_models
from coalm_lite.store.verify import hash_of

Report = Callable[[Progress], None]
Tell = Callable[[str], None]
_NOTHING = Downloaded(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is ready: its record, its path in the cache, and what the network had to bring."""

    manifest: Manifest
    path: Path
    cost: Downloaded = _NOTHING


def fetch(plan: PullPlan, client: HubClient, cache: HubCache, report: Report, tell: Tell) -> Pulled:
    """The planned model, in the cache and the default from now on.

    `tell` hears what a user should know meanwhile. Raises HubError, StoreError, and ModelError for bytes that are as
    the Hub has them, but no model that llama.cpp may load; those are deleted.
    """
    remote = plan.remote
    cache.make_folders(remote.repository)
    partial = cache.partial(remote.repository, remote.etag)
    with alone(cache.lock(remote.repository, remote.etag), tell):
        kept = kept_file(cache, remote)
        record = record_of(cache, remote) if kept else None
        ours = companion_of(partial).is_file()
        cost = _NOTHING
        if record is None and not (kept and _is_right(kept, remote, report, tell)):
            cost, ours = download(remote, partial, report), True
            _check(partial, remote)
            _name(partial, cache.blob(remote.repository, remote.etag))
        path = client.link(remote, cache.root)
        manifest = _manifest(plan, was_here=record.manifest.was_here if record else not ours)
        write_manifest(cache, manifest)
        with store_errors(partial):
            discard(partial)
    set_default(manifest.name)
    for older in older_versions(cache, remote):
        tell(f"an older version stays on the disk: `coalm-lite rm {older.place}` deletes it")
    return Pulled(manifest, path, cost)


def recorded(text: str, cache: HubCache) -> Pulled | None:
    """The model `text` as it was pulled before; None when it is not here."""
    try:
        model = pulled_models(text, cache)[0]
    except CoalmError:  # not pulled
        return None
    return Pulled(model.manifest, model.path) if model.present else None


@contextmanager
def alone(lock_path: Path, tell: Tell) -> Iterator[None]:
    """Hold the lock of these bytes, waiting for another pull or build of them to end."""
    from filelock import FileLock, Timeout

    with store_errors(lock_path):
        lock = FileLock(lock_path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell("another coalm-lite is bringing this file: waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes it when it is let go
            lock_path.unlink(missing_ok=True)
        lock.release()


def _is_right(path: Path, remote: RemoteFile, report: Report, tell: Tell) -> bool:
    """Whether bytes that came from another tool, or by a pull that ended before its record, are those of the Hub."""
    tell("the file is in the cache already: its bytes are checked")
    meter = Meter(report)
    meter.begin("hashing", 0, remote.size_bytes)
    if hash_of(path, remote, meter.add) != remote.etag:
        tell(f"its bytes in the cache ({path}) are damaged: they are fetched anew and replaced")
        return False
    check_model_file(path)
    return True


def _check(partial: Path, remote: RemoteFile) -> None:
    """Delete what llama.cpp must not see; it is as the Hub has it, so fetching it again would not help."""
    try:
        check_model_file(partial)
    except ModelError as error:
        with store_errors(partial):
            discard(partial)
        problem = error.message.replace(str(partial), remote.place)
        raise ModelError(
            f"{problem}; the file was deleted", "The file is so on the Hub: choose another one."
        ) from error


def _name(partial: Path, blob: Path) -> None:
    with store_errors(blob):
        partial.replace(blob)


def _manifest(plan: PullPlan, was_here: bool) -> Manifest:
    remote, size = plan.remote, plan.description.size
    return Manifest(
        name=plan.description.name,
        repository=remote.repository,
        path=remote.path,
        revision=remote.revision,
        etag=remote.etag,
        sha256=remote.sha256,
        size_bytes=remote.size_bytes,
        license=plan.license,
        dialects=size.dialects if size is not None else (),
        size=size.name if size is not None else "",
        quant=plan.description.quant,
        pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        was_here=was_here,
    )
