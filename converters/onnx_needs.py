"""What an ONNX conversion takes of memory and disk, and whether this machine has it. Pure arithmetic, but for asking.

The formula follows the child process's peaks with torch 2.13 and optimum 2.1, which it meets or passes by up to 10 %:
6.1 and 8.6 GB for checkpoints whose graphs hold 384 and 506 million values in fp32, 3.3 and 4.7 GB in fp16.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from coalm_lite.errors import ModelError, StoreError
from coalm_lite.store.files import store_errors

_SINGLE_BYTES, _HALF_BYTES = 4, 2
_LIBRARIES_BYTES = 800_000_000
_TORCH_COPIES = 1.0
_GRAPH_COPIES = 3.2  # the graph, what it is written from, and a part of both while constants are folded
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory at the peak, and of disk while both the export and its result are there."""

    memory_bytes: int
    disk_bytes: int


def conversion_needs(parameters: int, graph_values: int, half: bool) -> Needs:
    """What a conversion takes; `half`: exported in 16 bits.

    `graph_values` are the parameters, and the token table once more where it is the output matrix too: the graph holds
    it twice.
    """
    width = _HALF_BYTES if half else _SINGLE_BYTES
    weights = _TORCH_COPIES * parameters + _GRAPH_COPIES * graph_values
    return Needs(_LIBRARIES_BYTES + int(width * weights), 2 * width * graph_values)


def check_needs(needs: Needs, target: Path) -> None:
    """Raise ModelError when the memory, StoreError when the disk of `target` does not suffice, with both numbers."""
    available = psutil.virtual_memory().available
    if needs.memory_bytes > available:
        raise ModelError(
            f"the conversion needs {_words(needs.memory_bytes)} of memory, and {_words(available)} are available",
            "Close other programs or use a larger machine; `--to gguf` converts block by block, in far less.",
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
