"""Whether a pulled file is still what was pulled: its bytes against the Hub's hash, then its header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from coalm_lite.errors import ModelError
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.files import store_errors
from coalm_lite.store.local import LocalModel

State: TypeAlias = Literal["fine", "changed bytes", "missing", "bad header"]
Report: TypeAlias = Callable[[int], None]
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of the check; `detail` says more, "" when all is fine."""

    model: LocalModel
    state: State
    detail: str = ""


def verify(model: LocalModel, report: Report = lambda _bytes: None) -> Verified:
    """The state of a pulled file; `report` gets the number of bytes read each time some were."""
    manifest = model.manifest
    with store_errors(model.path):
        if not model.path.is_file():
            return Verified(model, "missing", f"there is no {model.path}")
        size_bytes = model.path.stat().st_size
        if size_bytes != manifest.size_bytes:
            return Verified(model, "changed bytes", f"it has {size_bytes} bytes, and {manifest.size_bytes} were pulled")
        found = hash_of(model.path, manifest.remote, report)
    if found != manifest.etag:
        return Verified(model, "changed bytes", f"its hash is {found}, and that of the pulled file is {manifest.etag}")
    try:
        check_model_file(model.path)
    except ModelError as error:
        return Verified(model, "bad header", error.message)
    return Verified(model, "fine")


def hash_of(path: Path, remote: RemoteFile, report: Report) -> str:
    """The hash of the bytes at `path`, of the kind that the Hub names for `remote`."""
    digest, buffer = remote.new_digest(), memoryview(bytearray(_CHUNK_BYTES))
    with store_errors(path), path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            report(count)
    return digest.hexdigest()
