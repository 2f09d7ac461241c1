"""What it would take to build a quantized file that nobody has published, from the checkpoint's own numbers.

Estimates: the result's size from the same quant of another size in the catalog, memory from the largest tensor, which
the converter holds as it came and in f32. How long converting takes has not been measured; the download takes most of
the time on an ordinary line. Building itself is the converter's work.
"""

from __future__ import annotations

from dataclasses import dataclass

from coalm_lite.catalog import Catalog, ModelSize
from coalm_lite.errors import ModelError
from coalm_lite.pull.memory import usual_memory_need

LINE_BITS_PER_S = 100e6  # the line that the download's time is told for
_BF16_BYTES, _F32_BYTES = 2, 4
_BITS_A_BYTE = 8


@dataclass(frozen=True, slots=True)
class BuildEstimate:
    """What building `name` takes: bytes to download, on disk (the result) and in memory, and the download's time.

    `use_bytes` is the memory that the result needs at the usual context.
    """

    name: str
    checkpoint: str
    download_bytes: int
    file_bytes: int
    memory_bytes: int
    use_bytes: int
    download_s: float


class NotPublishedError(ModelError):
    """Nobody has published the file; `estimate` says what building it takes."""

    def __init__(self, estimate: BuildEstimate) -> None:
        super().__init__(
            f"nobody has published {estimate.name}, and this version cannot build it: its converter does not read"
            f" {estimate.checkpoint} from the Hub yet",
            "`coalm-lite list --remote` tells what can be pulled.",
        )
        self.estimate = estimate


def estimate_build(size: ModelSize, quant: str, known: Catalog) -> BuildEstimate:
    """What building this quant of a size takes."""
    download_bytes = size.parameters * _BF16_BYTES
    file_bytes = int(size.parameters * _bytes_a_parameter(quant, known))
    return BuildEstimate(
        name=f"{size.name}-{quant}",
        checkpoint=size.checkpoint,
        download_bytes=download_bytes,
        file_bytes=file_bytes,
        memory_bytes=size.vocabulary * size.hidden * (_BF16_BYTES + _F32_BYTES),
        use_bytes=usual_memory_need(size, file_bytes).total_bytes,
        download_s=download_bytes * _BITS_A_BYTE / LINE_BITS_PER_S,
    )


def _bytes_a_parameter(quant: str, known: Catalog) -> float:
    """As in a published file of the quant; 2, the most there is, when the catalog has none."""
    for file in known.files.values():
        size = known.sizes.get(file.size)
        if size is not None and file.name == f"{size.name}-{quant}" and file.approximate_bytes:
            return file.approximate_bytes / size.parameters
    return float(_BF16_BYTES)
