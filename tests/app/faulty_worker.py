"""The engine's worker with an engine that goes wrong at a prompt that ends in `WRONG` and a number: see `faults`."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence

from coalm_lite.app import worker
from coalm_lite.runtime.base import Cancel, Stretch
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.llamacpp.library import ggml_library
from coalm_lite.runtime.progress import PROGRESS

WRONG = 9
ABORTS, HANGS, SLOW, FAILS, PRINTS = range(301, 306)
SLOW_S = 2.0


def abort() -> None:
    """As llama.cpp aborts."""
    ggml_library().ggml_abort(b"llama-graph.cpp", 42, b"GGML_ASSERT(%s) failed", b"all is well")


def hang() -> None:
    """Native code that never returns, while Python's threads go on."""
    ctypes.CDLL(None).sleep(1000)


def slow() -> None:
    """Native code that takes long and gets on."""
    assert PROGRESS.watched
    for _ in range(40):
        time.sleep(SLOW_S / 40)
        PROGRESS.count += 1


def fail() -> None:
    """What nobody foresaw."""
    raise ZeroDivisionError("of the engine")


def prints() -> None:
    """A library that writes where it must not."""
    print("words of a library", flush=True)
    os.write(1, b"more of its words\n")


faults: dict[int, Callable[[], None]] = {ABORTS: abort, HANGS: hang, SLOW: slow, FAILS: fail, PRINTS: prints}
_compute = LlamaEngine.compute


def compute(engine: LlamaEngine, stretches: Sequence[Stretch], cancel: Cancel) -> object:
    """The engine's own, after what was asked for went wrong."""
    for stretch in stretches:
        if len(stretch.tokens) > 1 and stretch.tokens[-2] == WRONG and stretch.tokens[-1] in faults:
            faults[stretch.tokens[-1]]()
    return _compute(engine, stretches, cancel)


if __name__ == "__main__":
    LlamaEngine.compute = compute  # type: ignore[assignment,method-assign]
    worker.main()
