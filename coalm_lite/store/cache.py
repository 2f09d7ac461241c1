"""The layout of the Hugging Face cache, in which model files lie so that every tool shares them.

    models--OWNER--NAME/blobs/ETAG                  a file's bytes, or a link to a store that repositories share
    models--OWNER--NAME/snapshots/REVISION/PATH     a link to a blob, or a hard link; where neither works, the file
    models--OWNER--NAME/refs/BRANCH                 the revision that a branch had
    models--OWNER--NAME/coalm-lite/                 ours: records (JSON), partial files, locks; other tools step over it

Covered: places and links. Nothing here fetches, and huggingface_hub is not needed to look at what is there. Names come
from the Hub and from files on disk: one that would lead out of the cache is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coalm_lite import paths
from coalm_lite.errors import UsageError
from coalm_lite.hub.places import HubPlace, check_file_name
from coalm_lite.store.files import store_errors

OWN_FOLDER = "coalm-lite"
PARTIAL_SUFFIX = ".partial"
COMPANION_SUFFIX = f"{PARTIAL_SUFFIX}.json"  # hub.partial.companion_of
JOURNAL_SUFFIX = f"{PARTIAL_SUFFIX}.journal"  # what a conversion notes of its complete parts
LOCK_SUFFIX = ".lock"
_SEPARATOR = "--"
_PREFIX = f"models{_SEPARATOR}"


def cache_root() -> Path:
    """The cache's folder by the rules of huggingface_hub: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, ~/.cache."""
    value = os.environ.get
    home = value("HF_HOME") or f"{value('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    root = value("HF_HUB_CACHE") or value("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(os.path.expanduser(root))).absolute()  # noqa: PTH111  # an unknown ~user stays


@dataclass(frozen=True, slots=True)
class HubCache:
    """A cache at `root`, which need not be there yet."""

    root: Path

    @classmethod
    def of_user(cls) -> HubCache:
        """The cache that the environment names."""
        return cls(cache_root())

    @classmethod
    def of_built(cls) -> HubCache:
        """Where the files lie that were built here: a store of the same layout that no other tool knows.

        A repository in it is the checkpoint that a file was built from, a blob is named by the file's SHA-256.
        """
        return cls(paths.data_dir() / "models")

    def folder(self, repository: str) -> Path:
        """The folder of a model repository, `owner/name`."""
        return self.root / (_PREFIX + HubPlace(repository).repository.replace("/", _SEPARATOR))

    def blob(self, repository: str, etag: str) -> Path:
        """Where the bytes with this ETag lie."""
        return self.folder(repository) / "blobs" / _single(etag)

    def snapshot(self, repository: str, revision: str, path: str) -> Path:
        """Where the file `path` of a revision lies under its own name."""
        check_file_name(path)
        return self.revision(repository, revision) / path

    def revision(self, repository: str, revision: str) -> Path:
        """The folder of one revision, named by its commit."""
        return self.folder(repository) / "snapshots" / _single(revision)

    def own(self, repository: str) -> Path:
        """Our folder beside the blobs, on their volume: records, partial files, locks."""
        return self.folder(repository) / OWN_FOLDER

    def partial(self, repository: str, etag: str) -> Path:
        """Where the bytes with this ETag gather until they are whole."""
        return self.own(repository) / f"{_single(etag)}{PARTIAL_SUFFIX}"

    def lock(self, repository: str, etag: str) -> Path:
        """The lock that whoever fetches or deletes the bytes with this ETag holds."""
        return self.own(repository) / f"{_single(etag)}{LOCK_SUFFIX}"

    def make_folders(self, repository: str) -> None:
        """Create the folders that a fetch writes into; other tools take a repository without snapshots for a fault."""
        with store_errors(self.root):
            for part in ("blobs", "snapshots", OWN_FOLDER):
                (self.folder(repository) / part).mkdir(parents=True, exist_ok=True)

    def own_folders(self) -> tuple[Path, ...]:
        """Each folder of ours that is there, in the order of the repositories' names."""
        with store_errors(self.root):
            repositories = sorted(self.root.iterdir()) if self.root.is_dir() else []
            folders = [folder / OWN_FOLDER for folder in repositories if folder.name.startswith(_PREFIX)]
            return tuple(folder for folder in folders if os.path.isdir(folder))  # noqa: PTH112  # others' may be closed


def links_to(blob: Path) -> tuple[Path, ...]:
    """All names in the snapshots of the blob's repository that lead to it; a copy of its bytes does not."""
    with store_errors(blob):
        return tuple(path for path in names_below(blob.parent.parent / "snapshots") if _leads_to(path, blob))


def names_below(folder: Path) -> Iterator[Path]:
    """All names of files and links below a folder; an OSError where it cannot be read, which rglob would hide."""

    def fail(error: OSError) -> None:
        raise error

    if folder.is_dir():
        for place, _, names in os.walk(folder, onerror=fail):
            yield from (Path(place, name) for name in sorted(names))


def _leads_to(name: Path, blob: Path) -> bool:
    """Whether it is a hard link of the blob, or a link whose first step it is: the blob may be a link itself."""
    if not name.is_symlink():
        return blob.exists() and os.path.samestat(name.lstat(), blob.lstat())
    step = os.path.abspath(name.parent / name.readlink())  # noqa: PTH100  # resolve would take every step
    return step == str(blob.absolute()) or os.path.realpath(step) == os.path.realpath(blob)


def _single(name: str) -> str:
    check_file_name(name)
    if "/" in name:
        raise UsageError(f"{name!r} is not a single name", "A commit and an ETag are hexadecimal numbers.")
    return name
