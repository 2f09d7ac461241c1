"""Building a quantized file that nobody has published: what it takes, and the building, by a converter handed in.

The file gathers beside our records in the store of built files (HubCache.of_built) and gets its final name, the record
and its place as the model that is used when it is whole, tried and hashed; a killed build is gone on with, and so is
one that the user or the network stopped. Not covered: the converting itself, which the command line hands in.

    models--OWNER--NAME/coalm-lite/FILE.gguf[.partial, .partial.journal, .lock]     in the making
    models--OWNER--NAME/blobs/SHA256, .../snapshots/COMMIT/FILE.gguf                done; COMMIT is the checkpoint's
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from coalm_lite.catalog import ModelSize
from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.folder import RemoteFolder
from coalm_lite.hub.places import SCHEME, HubPlace
from coalm_lite.hub.progress import Meter, Progress
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.pull.fetch import Pulled, alone, recorded
from coalm_lite.pull.licenses import is_accepted
from coalm_lite.pull.machine import Machine, free_disk_bytes, this_machine
from coalm_lite.pull.memory import usual_memory_need
from coalm_lite.pull.plan import PullRefusedError, gigabytes, has_gpu
from coalm_lite.pull.wanted import NotPublishedError
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.cache import PARTIAL_SUFFIX, HubCache
from coalm_lite.store.default import set_default
from coalm_lite.store.files import store_errors
from coalm_lite.store.manifest import Manifest, write_manifest
from coalm_lite.store.provenance import read_provenance

LINE_BITS_PER_S = 100e6  # the line that the download's time is told for
_BITS_A_BYTE = 8
_STEP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BuildNeeds:
    """What a converter says that a build takes; `kind` is its name of the quant, as Q4_K_M.

    `download_bytes` come from the Hub, `file_bytes` is the result, `compute_s` what converting takes this machine.
    """

    kind: str
    download_bytes: int
    file_bytes: int
    memory_bytes: int
    compute_s: float


class Builder(Protocol):
    """A converter, as the command line hands it in."""

    def needs(self, size: ModelSize, quant: str) -> BuildNeeds:
        """What building takes, told without the network."""
        ...

    def make(self, place: str, quant: str, target: Path, client: HubClient) -> Sequence[str]:
        """Writes the checkpoint at `place` to `target`; returns why the file must not be trusted, if so.

        What was made before an interrupt or a network's failure stays for the next call.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a build will do. `use_bytes`: the memory that the result needs at the usual context.

    `missing_bytes`: what of the result is not there yet. `needs_consent`: the licence allows no commercial use and has
    not been accepted yet.
    """

    name: str
    size: ModelSize
    quant: str
    needs: BuildNeeds
    use_bytes: int
    license: str
    needs_consent: bool
    missing_bytes: int
    free_disk_bytes: int
    machine: Machine

    @property
    def download_s(self) -> float:
        """What the download takes at LINE_BITS_PER_S."""
        return self.needs.download_bytes * _BITS_A_BYTE / LINE_BITS_PER_S

    @property
    def file_name(self) -> str:
        """The result's name, as those who publish such files name them."""
        return f"{self.size.checkpoint.rpartition('/')[2]}.{self.needs.kind}.gguf"

    def obstacles(self) -> tuple[str, ...]:
        """Why the model cannot be built, kept or used here, in words."""
        found, total = [], self.machine.total_bytes
        if self.missing_bytes > self.free_disk_bytes:
            free = gigabytes(self.free_disk_bytes)
            found.append(f"the disk has {free} free, and {gigabytes(self.missing_bytes)} are needed")
        if self.needs.memory_bytes > total:
            found.append(
                f"building needs {gigabytes(self.needs.memory_bytes)} of memory, this machine has {gigabytes(total)}"
            )
        if self.use_bytes > total and not has_gpu():
            found.append(
                f"using it needs {gigabytes(self.use_bytes)} of memory, and this machine has {gigabytes(total)}"
            )
        return tuple(found)

    def check(self) -> None:
        """Raise PullRefusedError when something speaks against it."""
        obstacles = self.obstacles()
        if obstacles:
            hint = "A smaller quant may fit; --force builds it all the same."
            raise PullRefusedError(f"{self.name} does not fit: {'; '.join(obstacles)}", hint)


def plan_build(wanted: NotPublishedError, builder: Builder, store: HubCache) -> BuildPlan:
    """What building takes, as this machine is now; the Hub is not asked."""
    size, needs = wanted.size, builder.needs(wanted.size, wanted.quant)
    plan = BuildPlan(
        name=wanted.name,
        size=size,
        quant=wanted.quant,
        needs=needs,
        use_bytes=usual_memory_need(size, needs.file_bytes).total_bytes,
        license=size.license,
        needs_consent=size.non_commercial and not is_accepted(size.license),
        missing_bytes=needs.file_bytes,
        free_disk_bytes=free_disk_bytes(store.root),
        machine=this_machine(),
    )
    return replace(plan, missing_bytes=max(0, needs.file_bytes - made_bytes(plan, store)))


def made_bytes(plan: BuildPlan, store: HubCache) -> int:
    """How many of the result's bytes an unfinished build has left."""
    target = _target(plan, store)
    with store_errors(target):
        there = (path for path in (target, _beside(target, PARTIAL_SUFFIX)) if path.is_file())
        return next((path.stat().st_size for path in there), 0)


def build(
    plan: BuildPlan,
    builder: Builder,
    client: HubClient,
    store: HubCache,
    report: Callable[[Progress], None],
    tell: Callable[[str], None],
) -> Pulled:
    """The planned model, built, on record, and the default from now on.

    Raises what converting raises, and ModelError for a result that did not work; that is deleted.
    """
    repository, target = plan.size.checkpoint, _target(plan, store)
    folder = client.folder(HubPlace(repository))
    store.make_folders(repository)
    with alone(store.lock(repository, plan.file_name), tell):
        known = recorded(plan.name, store)
        if known is not None and known.manifest.revision == folder.revision:
            return known  # another process has built it meanwhile
        if not _is_made(target, folder):
            _make(plan, builder, client, folder, target)
        remote = _described(plan, folder, target, report)
        with store_errors(target):
            target.replace(store.blob(repository, remote.etag))
        path = client.link(remote, store.root)
        manifest = _manifest(plan, remote)
        write_manifest(store, manifest)
    set_default(manifest.name)
    return Pulled(manifest, path)


def _make(plan: BuildPlan, builder: Builder, client: HubClient, folder: RemoteFolder, target: Path) -> None:
    problems = builder.make(f"{SCHEME}{folder.repository}@{folder.revision}", plan.quant, target, client)
    if not problems:
        return
    with store_errors(target):
        target.unlink(missing_ok=True)
    raise ModelError(
        f"{plan.name} was built and deleted again: {'; '.join(problems)}",
        f"See {folder.place}: it may be no sound model.",
    )


def _is_made(target: Path, folder: RemoteFolder) -> bool:
    """Whether a build that ended before its record has left the whole file of this commit."""
    if not target.is_file():
        return False
    try:
        record = read_provenance(read_header(target))
    except CoalmError:
        return False
    return record is not None and record.revision == folder.revision and record.verification is not None


def _described(plan: BuildPlan, folder: RemoteFolder, target: Path, report: Callable[[Progress], None]) -> RemoteFile:
    """The finished file as one of the checkpoint's commit, named by its hash; its header is checked."""
    check_model_file(target)
    digest, meter = hashlib.sha256(), Meter(report)
    with store_errors(target), target.open("rb") as file:
        size_bytes = target.stat().st_size
        meter.begin("hashing", 0, size_bytes)
        while block := file.read(_STEP_BYTES):
            digest.update(block)
            meter.add(len(block))
    return RemoteFile(folder.repository, plan.file_name, folder.revision, digest.hexdigest(), size_bytes, plan.license)


def _manifest(plan: BuildPlan, remote: RemoteFile) -> Manifest:
    return Manifest(
        name=plan.name,
        repository=remote.repository,
        path=remote.path,
        revision=remote.revision,
        etag=remote.etag,
        sha256=remote.sha256,
        size_bytes=remote.size_bytes,
        license=plan.license,
        dialects=plan.size.dialects,
        size=plan.size.name,
        quant=plan.needs.kind,
        pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        was_here=False,
        converter=f"coalm-lite {version('coalm-lite')}",
    )


def _target(plan: BuildPlan, store: HubCache) -> Path:
    return store.own(plan.size.checkpoint) / plan.file_name


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
