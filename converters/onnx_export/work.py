"""The folder in which an ONNX conversion works: OUT.partial, renamed to OUT at the end.

Covered: nothing is left of it after an error or an interrupt; what a killed run left is deleted by the next one for
the same OUT, and only by its mark, so that nobody's own folder of that name is; one run at a time for one OUT. Not
covered: going on where a run stopped, and a lock between users of one machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coalm_lite.errors import StoreError, UsageError
from coalm_lite.paths import cache_dir
from coalm_lite.store.files import store_errors
from coalm_lite.store.locks import held

_MARK = ".coalm-lite-conversion"


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, which gets its name when the block ends well and is deleted when it does not.

    Raises UsageError when `target` is there already, StoreError when the disk refuses or another run is at work.
    """
    partial = target.with_name(target.name + ".partial")
    with held(_lock(target)) as is_ours:
        if not is_ours:
            raise StoreError(f"another conversion is writing {target}", "Wait for it to end, or name another folder.")
        try:
            with store_errors(partial):
                _refuse_existing(target)
                _clear(partial)
                partial.mkdir()
                (partial / _MARK).touch()
            yield partial
            with store_errors(target):
                _sync(partial)
                _refuse_existing(target)
                (partial / _MARK).unlink()
                partial.rename(target)
        finally:
            if (partial / _MARK).exists():
                shutil.rmtree(partial, ignore_errors=True)


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", "Name a new folder, or delete that one first.")


def _clear(partial: Path) -> None:
    """Delete what a killed run left."""
    if not os.path.lexists(partial):
        return
    if not (partial / _MARK).is_file():
        raise UsageError(f"{partial} is in the way, and no conversion made it", "Move it, or name another folder.")
    shutil.rmtree(partial)


def _sync(folder: Path) -> None:
    """Have the disk hold every file before the folder gets its name."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            if os.name == "posix":  # elsewhere it takes a file that is open for writing
                os.fsync(file.fileno())


def _lock(target: Path) -> Path:
    """The lock of this target, where nothing of it is left beside the target after a kill."""
    digest = hashlib.sha256(os.fsencode(target.absolute())).hexdigest()
    return cache_dir() / "locks" / f"{digest[:32]}.lock"
