"""llama.cpp's own two steps from a checkpoint to a quantized file, as processes that are timed and weighed.

The converter is convert_hf_to_gguf.py of the llama.cpp source that llama-cpp-python was built of; its question which
pre-tokenizer an unknown tokenizer has is answered with `llama-bpe`, and nothing else of it is changed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DRIVER = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/gguf-py"]
import conversion.base, convert_hf_to_gguf
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "llama-bpe"
sys.argv = ["convert", sys.argv[2], "--outtype", sys.argv[3], "--outfile", sys.argv[4]]
convert_hf_to_gguf.main()
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: from its start to its end, on the processors, and in memory at most."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers are: llama.cpp's source, its programs, and a Python with what its converter needs."""

    source: Path
    programs: Path
    python: Path

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Give the parser the three places."""
        parser.add_argument("--llama-cpp", type=Path, required=True, help="llama.cpp's source, of the sdist in use")
        parser.add_argument("--programs", type=Path, required=True, help="the folder of its llama-quantize")
        parser.add_argument("--peer-python", type=Path, required=True, help="a Python with the converter's needs")

    @classmethod
    def of(cls, wanted: argparse.Namespace) -> Peers:
        """The peers that the options name."""
        return cls(wanted.llama_cpp.absolute(), wanted.programs.absolute(), wanted.peer_python.absolute())

    def convert(self, folder: Path, kind: str, target: Path) -> Cost:
        """Step one: the checkpoint to a file of 16 or 32 bits."""
        return measured([str(self.python), "-c", DRIVER, str(self.source), str(folder), kind, str(target)])

    def quantize(self, source: Path, target: Path, kind: str, threads: int, imatrix: Path | None = None) -> Cost:
        """Step two; the importance matrix is named as it is in its folder, which its name in the file comes from."""
        options = ["--imatrix", imatrix.name] if imatrix else []
        command = [str(self.programs / "llama-quantize"), *options, str(source), str(target), kind, str(threads)]
        return measured(command, imatrix.parent if imatrix else None)


def measured(command: Sequence[str], folder: Path | None = None) -> Cost:
    """The cost of a process that ends well; RuntimeError with the end of its errors for one that does not."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {told[-2000:].decode(errors='replace')}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
