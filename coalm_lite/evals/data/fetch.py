"""A suite's data brought into a folder: whole and checked, or not there.

    HOME/<suite>/                 the files as suites read them
    HOME/<suite>/fetched.json     what they are: source, licence, pins, each file's sha256
    HOME/.fetching/<suite>-*/     a suite that is being put together; its finished files are kept for the next call
    HOME/.fetching/bytes/         the bytes of files that did not come whole

A folder that another made is never touched. Two calls at once are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.evals.data.archives import convert_multiwoz, unpack_wheel
from coalm_lite.evals.data.download import MIRROR_VARIABLE, Download, Origin
from coalm_lite.evals.data.pins import PinnedSuite
from coalm_lite.hub.backoff import Waits
from coalm_lite.hub.partial import disk_errors
from coalm_lite.hub.progress import Meter, Progress
from coalm_lite.store.locks import held
from coalm_lite.types import JsonValue

RECORD = "fetched.json"
_WORK = ".fetching"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A suite's folder with its data; `new`: whether anything had to be fetched."""

    folder: Path
    files: int
    size_bytes: int
    new: bool


def fetch(
    suite: PinnedSuite,
    home: Path,
    origin: Origin | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    waits: Waits | None = None,
) -> Fetched:
    """Have a suite's data in `home`; what is there and right is not fetched again.

    Without `origin` they come from where the environment variable COALM_LITE_DATA_MIRROR says, or the public places.
    Raises HubError for the network and for a wrong hash, StoreError for the disk and for a folder of another's making.
    """
    with held(home / f"{_WORK}-{suite.folder}.lock") as free:
        if not free:
            raise StoreError(f"another coalm-lite is fetching {suite.name} into {home}", "Wait for it, then try again.")
        kept = fetched_state(suite, home, check=True)
        if kept is not None:
            return kept
        _refuse_foreign(home / suite.folder)
        building = home / _WORK / f"{suite.folder}-{suite.fingerprint[:12]}"
        _bring(suite, home, building, origin or Origin(os.environ.get(MIRROR_VARIABLE, "")), report, waits or Waits())
        _unpack(suite, building)
        return _finish(suite, home, building)


def fetched_state(suite: PinnedSuite, home: Path, check: bool = False) -> Fetched | None:
    """The suite's data in `home` if they are these pins' and whole; with `check` every byte is read."""
    folder = home / suite.folder
    record = _record(folder)
    files = record.get("files") if record.get("pins") == suite.fingerprint else None
    if not isinstance(files, dict):
        return None
    with disk_errors(folder):
        if not all((folder / path).is_file() for path in files):
            return None
        if check and any(_sha256(folder / path) != sha256 for path, sha256 in files.items()):
            return None
        return Fetched(folder, len(files), sum((folder / path).stat().st_size for path in files), new=False)


def _record(folder: Path) -> dict[str, JsonValue]:
    try:
        told = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not _record(folder):
        hint = "Use it with --data-dir, or move it away so that the published files can be put there."
        raise StoreError(f"{folder} is there already and was not made by data fetch", hint)


def _bring(
    suite: PinnedSuite,
    home: Path,
    building: Path,
    origin: Origin,
    report: Callable[[Progress], None],
    waits: Waits,
) -> None:
    """Put the pinned files together; those that an earlier call left, or an older folder has, are kept."""
    meter = Meter(report)
    meter.begin("fetching", 0, sum(pin.size_bytes for pin in suite.pins))
    download = Download(home / _WORK / "bytes", meter.add, meter.wait, waits)
    for pin in suite.pins:
        target, old = building / pin.path, home / suite.folder / pin.path
        with disk_errors(target):
            for path in (target, old):
                if path.is_file() and pin.hash_of(path) == pin.etag:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if path != target:
                        shutil.copyfile(path, target)
                    meter.add(pin.size_bytes)
                    break
            else:
                download.bring(pin, origin.place_of(suite, pin), target)


def _unpack(suite: PinnedSuite, building: Path) -> None:
    """Turn a suite's archive, its first file, into what is read."""
    archive = building / suite.pins[0].path
    if suite.unpack == "wheel":
        unpack_wheel(archive, building)
    elif suite.unpack == "multiwoz":
        convert_multiwoz(archive, building, suite.inner_sha256)
    if suite.unpack:
        with disk_errors(archive):
            archive.unlink()


def _finish(suite: PinnedSuite, home: Path, building: Path) -> Fetched:
    """Write down what is there, and give the folder its name."""
    folder = home / suite.folder
    with disk_errors(building):
        paths = sorted(path for path in building.rglob("*") if path.is_file() and path.name != RECORD)
        files = {path.relative_to(building).as_posix(): _sha256(path) for path in paths}
        told = {"suite": suite.name, "source": suite.source, "licence": suite.licence, "pins": suite.fingerprint}
        (building / RECORD).write_text(json.dumps(told | {"files": files}, indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        building.replace(folder)
        with suppress(OSError):  # another suite's work may be in them
            (home / _WORK / "bytes").rmdir()
            (home / _WORK).rmdir()
        size_bytes = sum((folder / path).stat().st_size for path in files)
    return Fetched(folder, len(files), size_bytes, new=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
