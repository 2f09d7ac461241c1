"""A process that fills a model's context and prints what that took: its peak memory, what of it was there before the
model, and llama.cpp's compute buffer.

It loads what `coalm-lite chat` loads, so that the peak is that of a chat.
Its own process, since a peak cannot be taken back. Arguments: the model's file, the context in tokens.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

import coalm_lite.cli.chat_screen
import coalm_lite.tools  # noqa: F401
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.llamacpp.library import start_llama

COMPUTE = re.compile(r"CPU compute buffer size = +([0-9.]+) MiB")
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
ANY_TOKEN = 5


def main() -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]  # a list is enough
    logger = logging.getLogger("coalm_lite.llama")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    start_llama()
    before = peak_bytes()
    with LlamaEngine.load(Path(sys.argv[1]), context_tokens=int(sys.argv[2]), threads=1) as engine:
        engine.prefill([ANY_TOKEN] * int(sys.argv[2]), Cancel())
        peak = peak_bytes()
    compute = [float(match[1]) for line in lines if (match := COMPUTE.search(line))]
    buffer_bytes = int(compute[-1] * (1 << 20))
    print(json.dumps({"peak_rss_bytes": peak, "process_bytes": before, "compute_bytes": buffer_bytes}))


def peak_bytes() -> int:
    """The most memory that this process has held."""
    peak = PEAK.search(Path("/proc/self/status").read_text())
    assert peak is not None
    return int(peak[1]) << 10


if __name__ == "__main__":
    main()
