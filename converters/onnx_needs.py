"""What an ONNX conversion takes of memory and disk, and whether this machine has it. Pure arithmetic, but for asking.

Measured as peaks of the child process with torch 2.13 and optimum 2.1: torch's copy of the weights, the graph that
holds them again while it is written, and what the libraries take by themselves.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from coalm_lite.errors import ModelError, StoreError
from coalm_lite.store.files import store_errors

_SINGLE_BYTES, _HALF_BYTES = 4, 2
_LIBRARIES_BYTES = 600_000_000
_COPIES = 3.0  # of the weights: torch's, the graph's, and the bytes that are written
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory at the peak, and of disk while both the export and its result are there."""

    memory_bytes: int
    disk_bytes: int


def conversion_needs(parameters: int, half: bool, quantized: bool) -> Needs:
    """What converting so many parameters takes; `half`: exported in 16 bits."""
    weights = parameters * (_HALF_BYTES if half else _SINGLE_BYTES)
    return Needs(_LIBRARIES_BYTES + int(_COPIES * weights), 2 * weights if quantized else weights)


def check_needs(needs: Needs, target: Path) -> None:
    """Raise ModelError when the memory, StoreError when the disk of `target` does not suffice, with both numbers."""
    available = psutil.virtual_memory().available
    if needs.memory_bytes > available:
        raise ModelError(
            f"the conversion needs {_words(needs.memory_bytes)} of memory, and {_words(available)} are available",
            "Close other programs or use a larger machine; `--to gguf` converts one tensor at a time, in far less.",
        )
    with store_errors(target):
        free = shutil.disk_usage(target.absolute().parent).free
    if needs.disk_bytes > free:
        raise StoreError(
            f"the conversion needs {_words(needs.disk_bytes)} of disk, and {_words(free)} are free at {target.parent}",
            "Make room, or name a folder on another disk.",
        )


def _words(count: int) -> str:
    return f"{count / _GIGABYTE:.2f} GB"
