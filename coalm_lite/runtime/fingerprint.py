"""A model file's fingerprint, in milliseconds: for caches of what was computed with it.

SHA-256 over size, time of change, the first bytes (a GGUF's header and metadata) and blocks evenly spread over the
rest. Another training, quantization or conversion changes blocks everywhere; a change of a few bytes elsewhere changes
the file's time. It does not prove that two files are equal: `coalm-lite verify` does.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

_HEAD_BYTES = 8 << 20
_BLOCKS = 64
_BLOCK_BYTES = 16 << 10


def fingerprint(path: Path) -> str:
    """64 hex digits; OSError when the file cannot be read."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        digest = sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
        digest.update(file.read(_HEAD_BYTES))
        for block in range(_BLOCKS):
            file.seek(max(0, status.st_size - _BLOCK_BYTES) * block // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()
