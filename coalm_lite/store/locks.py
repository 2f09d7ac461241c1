"""The lock that keeps two coalm-lite processes from fetching and deleting the same bytes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coalm_lite.store.files import store_errors


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether the lock at `path` could be taken without waiting; it is let go, and its file deleted, at the end."""
    from filelock import FileLock, Timeout

    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(OSError):  # Windows deletes it when it is let go
                path.unlink(missing_ok=True)
            lock.release()
