"""Small files written whole or not at all, and the disk's errors told as ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from coalm_lite.errors import StoreError

_NEW_NAME = re.compile(r"\.new-[0-9a-f]{16}")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or as it was before, whatever happens; StoreError if it cannot be."""
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".new-{token_hex(8)}")
        try:
            with new.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def is_half_made(path: Path) -> bool:
    """Whether the name is one under which a file is made before it gets its own; those of hub.snapshot are alike."""
    return _NEW_NAME.fullmatch(path.name) is not None


@contextmanager
def store_errors(place: Path) -> Iterator[None]:
    """Tell an OSError in the block as a StoreError that names its file, or else `place`."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or place
        hint = "Check that the disk has room and may be written, and who owns the folder."
        raise StoreError(f"{where}: {error.strerror or error}", hint) from error
