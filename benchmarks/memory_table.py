"""The memory that each model takes by quant, as a markdown table: the formula that opening a model asks.

usage: python benchmarks/memory_table.py

GB, decimal: weights, f16 KV cache of the usual context (4,096 tokens; coalm-nano's own is 2,048), buffers, the process.
A file's size is the published one where there is one, else the converter's plan, exact but for the vocabulary. Computed
on the CPU; nothing is loaded or fetched. How near the formula is, tests/pull/test_memory.py measures.
"""

from __future__ import annotations

from coalm_lite.catalog import QUANTS, ModelSize, catalog
from coalm_lite.cli.pull_build import ConverterBuilder
from coalm_lite.cli.pull_progress import PullScreen
from coalm_lite.models import shipped_model_path
from coalm_lite.pull.memory import MemoryNeed, usual_memory_need

_EMBEDDED_QUANT = "q8"


def file_bytes(size: ModelSize, quant: str) -> int | None:
    """The size of a model's file, None where there is none."""
    if size.shipped_file:
        return shipped_model_path(size.shipped_file).stat().st_size if quant == _EMBEDDED_QUANT else None
    published = catalog().files.get(f"{size.name}-{quant}")
    return published.approximate_bytes if published else _builder.needs(size, quant).file_bytes


def words(need: MemoryNeed | None) -> str:
    """The total, and in parentheses its weights."""
    if need is None:
        return "-"
    digits = 3 if need.total_bytes < 1e9 else 1
    return f"{need.total_bytes / 1e9:.{digits}f} ({need.weights_bytes / 1e9:.{digits}f})"


def main() -> None:
    """Print the table."""
    print(f"| GB in memory (weights) | KV cache | {' | '.join(QUANTS)} |")
    print(f"|---|--:|{'--:|' * len(QUANTS)}")
    for size in catalog().sizes.values():
        sizes = [file_bytes(size, quant) for quant in QUANTS]
        needs = [None if each is None else usual_memory_need(size, each) for each in sizes]
        kv = next(need.kv_bytes for need in needs if need is not None)
        print(f"| {size.title} | {kv / 1e9:.3f} | {' | '.join(map(words, needs))} |")


_builder = ConverterBuilder(PullScreen(verbosity=-1))

if __name__ == "__main__":
    main()
