"""What an ONNX conversion takes of memory and disk, and whether this machine has it. Pure arithmetic, but for asking.

The formula follows the child processes' peaks with torch 2.13 and optimum 2.1, which it meets or passes by up to 15 %:
6.7 and 8.6 GB for the export of checkpoints of 384 and 506 million values in fp32, 4.7 GB for the latter in fp16, and
6.0 GB for 628 million in fp32, since weights above 2 GB are written to a file as they come. Quantizing the first took
3.1 GB (int4) and 4.2 GB (int8).
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
_WHOLE_COPIES = 3.2  # the graph, what it is written from, and a part of both while constants are folded
_FILED_COPIES = 1.3  # where the weights go to a file of their own
_LARGEST_WHOLE_BYTES = 1 << 31
_QUANTIZED_COPIES = {0: 0.0, 4: 1.7, 8: 2.5}  # by bits; another process, after the export's
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory at the peak, and of disk while both the export and its result are there."""

    memory_bytes: int
    disk_bytes: int


def conversion_needs(parameters: int, graph_values: int, half: bool, bits: int = 0) -> Needs:
    """What a conversion takes; `half`: exported in 16 bits, `bits`: of a quantized matrix, 0 where none is.

    `graph_values` are the parameters, and the token table once more where it is the output matrix too: the graph holds
    it twice.
    """
    width = _HALF_BYTES if half else _SINGLE_BYTES
    graph_copies = _WHOLE_COPIES if width * graph_values < _LARGEST_WHOLE_BYTES else _FILED_COPIES
    exported = _TORCH_COPIES * parameters + graph_copies * graph_values
    largest = max(exported, _QUANTIZED_COPIES[bits] * graph_values)
    return Needs(_LIBRARIES_BYTES + int(width * largest), (3 if bits else 2) * width * graph_values)


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
