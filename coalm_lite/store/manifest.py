"""Our record of a pulled file: where it came from, which bytes it has, what it may be used for.

One JSON file a pulled file, `FILE NAME.<12 hex digits of revision and path>.json` in our folder of its repository. It
is written whole or not at all, and read strictly, since `rm` and `verify` act on what it says.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path

from coalm_lite.errors import CoalmError, StoreError
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.store.cache import HubCache
from coalm_lite.store.files import store_errors, write_whole

_FORMAT = 1
_MANIFEST_NAME = re.compile(r".*\.[0-9a-f]{12}\.json", re.DOTALL)
_MAX_BYTES = 1 << 20
_NAME_BYTES = 200
_MEND_HINT = "Pull the model again: its bytes are found where they are, and the record is written anew."


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of a pulled file.

    `name` is what the command line calls it: a catalog name, or `hf:owner/repo/path`. `revision` is the commit, `etag`
    the blob's name; `sha256` is "" where the Hub has none. `size` and `quant` are the catalog's, "" outside it.
    `pulled_at` is a time in UTC as ISO 8601. `was_here`: the file was in the cache before we came. `scores`: what it
    was measured at, as a text of coalm_lite.store.provenance; "" where nobody measured it.
    """

    name: str
    repository: str
    path: str
    revision: str
    etag: str
    sha256: str
    size_bytes: int
    license: str
    dialects: tuple[str, ...]
    size: str
    quant: str
    pulled_at: str
    was_here: bool
    converter: str = ""
    scores: str = ""

    @property
    def remote(self) -> RemoteFile:
        """The file on the Hub; an error for names or hashes that cannot be."""
        HubPlace(self.repository, self.path)
        return RemoteFile(self.repository, self.path, self.revision, self.etag, self.size_bytes, self.license)


def manifest_path(cache: HubCache, manifest: Manifest) -> Path:
    """Where the record of this file lies; an error for names that lead elsewhere or hashes that cannot be."""
    if manifest.sha256 != manifest.remote.sha256:
        raise StoreError(f"{manifest.sha256!r} is not the SHA-256 of the bytes {manifest.etag}", _MEND_HINT)
    digest = sha256(f"{manifest.revision}\0{manifest.path}".encode()).hexdigest()[:12]
    file_name = manifest.path.rpartition("/")[2].encode()[:_NAME_BYTES].decode(errors="ignore")
    return cache.own(manifest.repository) / f"{file_name}.{digest}.json"


def manifest_files(own_folder: Path) -> list[Path]:
    """The files in a folder of ours that are records by their name."""
    with store_errors(own_folder):
        return sorted(path for path in own_folder.iterdir() if _MANIFEST_NAME.fullmatch(path.name))


def write_manifest(cache: HubCache, manifest: Manifest) -> Path:
    """The record's file, written whole; StoreError where the disk does not allow it."""
    path = manifest_path(cache, manifest)
    text = json.dumps({"format": _FORMAT, **asdict(manifest)}, ensure_ascii=False, indent=1)
    write_whole(path, text + "\n")
    return path


def read_manifest(cache: HubCache, path: Path) -> Manifest:
    """The record at `path`; StoreError, naming file and key, for one that is damaged or is not in its place."""
    with store_errors(path), path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    manifest = _parsed(data, path)
    try:
        is_here = _same_place(path, manifest_path(cache, manifest))
    except CoalmError as error:
        raise _damaged(path, error.message) from error
    if not is_here:
        raise _damaged(path, f"it is the record of {manifest.path} of {manifest.repository}, in a wrong place")
    return manifest


def _same_place(path: Path, expected: Path) -> bool:
    """Whether the two are one file of ours; the cache may be reached by several paths."""
    return path.name == expected.name and path.parent.resolve() == expected.parent.resolve()


def _parsed(data: bytes, path: Path) -> Manifest:
    if len(data) > _MAX_BYTES:
        raise _damaged(path, f"it is longer than {_MAX_BYTES} bytes")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
        raise _damaged(path, f"it is no record of format {_FORMAT}")
    values.setdefault("scores", "")  # records of the first version have none
    wanted = {field.name: field.type for field in fields(Manifest)}
    for key in [*wanted, *values]:
        if key not in values or key not in wanted or not _fits(values[key], str(wanted[key])):
            raise _damaged(path, f"{key!r} is {'missing' if key not in values else 'wrong or unknown'}")
    return Manifest(**values | {"dialects": tuple(values["dialects"])})


def _fits(value: object, kind: str) -> bool:
    """Whether a JSON value is of a field's kind, given as its annotation."""
    match kind:
        case "str":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
        case _:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _damaged(path: Path, problem: str) -> StoreError:
    return StoreError(f"the record {path} is damaged: {problem}", _MEND_HINT)
