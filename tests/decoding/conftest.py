"""The tiny model and the embedded one, with engines on them; lets tests use the benchmarks' random schemas."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite import models
from coalm_lite.runtime.llamacpp import LlamaEngine
from tests.gguf_models import engine, tiny_model

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # scripts import their neighbours by bare names

__all__ = ["engine", "nano", "tiny_model"]


@pytest.fixture(scope="session")
def nano() -> Iterator[LlamaEngine]:
    """coalm-nano with four sequences; one thread, since tests share the machine."""
    with LlamaEngine.load(models.shipped_model_path("coalm-nano.Q8_0.gguf"), threads=1, sequences=4) as loaded:
        yield loaded
