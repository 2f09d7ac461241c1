"""A blob's final name in the Hugging Face cache, as huggingface_hub gives it, without asking the network.

`hf_hub_download` would ask again, fetch (unchecked) if the answer had changed meanwhile, and copy the whole file where
symbolic links are not allowed. Here it is a link, else a hard link, else the blob itself moves there, which is what
huggingface_hub does with a new blob on such a disk.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from secrets import token_hex

from coalm_lite.errors import StoreError
from coalm_lite.hub.partial import disk_errors
from coalm_lite.hub.remote import RemoteFile


def link(remote: RemoteFile, cache_root: Path) -> Path:
    """The file's path in its snapshot, made to lead to the blob that must be there already; StoreError if it is not."""
    folder = cache_root / f"models--{remote.repository.replace('/', '--')}"
    blob = folder / "blobs" / remote.etag
    named = folder.joinpath("snapshots", remote.revision, *PurePosixPath(remote.path).parts)
    with disk_errors(named):
        if not blob.is_file() and not named.is_file():
            raise StoreError(f"{blob} is not there, so {remote.place} cannot be linked", "Pull it again.")
        if blob.is_file() and not (named.exists() and named.samefile(blob)):
            named.parent.mkdir(parents=True, exist_ok=True)
            _lead(named, blob)
        _note_branch(folder, remote)
    return named


def _lead(named: Path, blob: Path) -> None:
    """Make `named` lead to the blob, in one step: a name that was there is replaced."""
    new = named.with_name(f".new-{token_hex(8)}")
    try:
        new.symlink_to(os.path.relpath(blob, named.parent))
    except OSError:  # not allowed, or not known to this disk
        try:
            new.hardlink_to(blob)
        except OSError:
            new = blob
    try:
        new.replace(named)
    except OSError:
        if new != blob:
            with suppress(OSError):
                new.unlink()
        raise


def _note_branch(folder: Path, remote: RemoteFile) -> None:
    """Write which commit the branch has, by which other tools find the file without a network."""
    if remote.branch == remote.revision:
        return
    reference = folder.joinpath("refs", *PurePosixPath(remote.branch).parts)
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(remote.revision, encoding="utf-8")
