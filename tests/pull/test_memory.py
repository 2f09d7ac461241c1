"""The formula against the real engine, which fills its context in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from coalm_lite.catalog import shipped_catalog
from coalm_lite.models import shipped_model_path
from coalm_lite.pull.memory import (
    PROCESS_BYTES,
    MemoryNeed,
    ModelShape,
    compute_bytes,
    memory_need,
    shape_of_header,
    shape_of_size,
)
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.options import DEFAULT_BATCH_TOKENS
from tests.pull.shaped_models import ZeroModel, write_zero_model

ERROR = 0.08  # measured: 0.03
SMALL_BYTES = 8 << 20
PROCESS_SPREAD_BYTES = 16 << 20  # by the versions of Python and its packages, and by the machine
NANO = shape_of_size(shipped_catalog().sizes["nano"])
ATTENTION = ZeroModel(layers=1, heads=32, kv_heads=8, context_tokens=2048)
FEED_FORWARD = ZeroModel(layers=2, hidden=512, feed_forward=16384, context_tokens=512)
VOCABULARY = ZeroModel(layers=1, vocabulary=128_256, merges=220_000, context_tokens=512)
FLASH = ZeroModel(layers=4, hidden=128, heads=2, kv_heads=2, context_tokens=9216)
EIGHT = shape_of_size(shipped_catalog().sizes["8b"])

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from /proc")


def shape_of(path: Path) -> ModelShape:
    header = read_header(path)
    shape = shape_of_header(header.values, header.arrays)
    assert shape is not None
    return shape


def measured(path: Path, context_tokens: int) -> dict[str, int]:
    """What the engine really took: the least of three runs, since a run may have more pages mapped, never fewer."""
    return min((_run(path, context_tokens) for _ in range(3)), key=lambda run: run["peak_rss_bytes"])


def _run(path: Path, context_tokens: int) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.pull.measured_engine", str(path), str(context_tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    values: dict[str, int] = json.loads(done.stdout)
    return values


@needs_proc
@pytest.mark.parametrize("model", [ATTENTION, FEED_FORWARD, FLASH], ids=["attention", "feed-forward", "flash"])
def test_the_formula_is_near_what_the_engine_takes(model: ZeroModel, tmp_path: Path) -> None:
    path = write_zero_model(tmp_path / "model.gguf", model)
    found = measured(path, model.context_tokens)
    need = memory_need(shape_of(path), path.stat().st_size, model.context_tokens)
    computed = compute_bytes(shape_of(path), model.context_tokens, DEFAULT_BATCH_TOKENS)
    assert computed == pytest.approx(found["compute_bytes"], rel=0.03)
    check_total(need, found)


@needs_proc
def test_the_formula_is_near_for_a_large_vocabulary_and_for_the_embedded_model(tmp_path: Path) -> None:
    large = write_zero_model(tmp_path / "model.gguf", VOCABULARY)
    for path, context_tokens in ((large, 512), (shipped_model_path("coalm-nano.Q8_0.gguf"), 2048)):
        need = memory_need(shape_of(path), path.stat().st_size, context_tokens)
        check_total(need, measured(path, context_tokens))


def check_total(need: MemoryNeed, found: Mapping[str, int]) -> None:
    """Hold the model's part and the process's part of a need each against its measurement."""
    grown = found["peak_rss_bytes"] - found["process_bytes"]
    assert need.total_bytes - PROCESS_BYTES == pytest.approx(grown, rel=ERROR, abs=SMALL_BYTES)
    assert pytest.approx(found["process_bytes"], abs=PROCESS_SPREAD_BYTES) == PROCESS_BYTES


def test_the_kv_cache_of_8b_is_128_kib_a_token_and_rounded_up() -> None:
    assert memory_need(EIGHT, 0, 4096).kv_bytes == 4096 * 128 << 10
    assert memory_need(EIGHT, 0, 4000).kv_bytes == 4096 * 128 << 10


def test_a_longer_context_and_larger_weights_need_more() -> None:
    totals = [memory_need(EIGHT, 5_000_000_000, tokens).total_bytes for tokens in (1, 512, 4096, 8192)]
    assert totals == sorted(set(totals))
    assert memory_need(EIGHT, 6_000_000_000, 512).total_bytes == totals[1] + 1_000_000_000


def test_a_shape_is_the_same_from_the_catalog_and_from_the_file() -> None:
    assert shape_of(shipped_model_path("coalm-nano.Q8_0.gguf")) == NANO


@pytest.mark.parametrize("key", ["embedding_length", "block_count", "attention.head_count"])
@pytest.mark.parametrize("value", [None, 0, -1, "many", 1 << 40])
def test_a_header_without_a_sensible_shape_has_none(key: str, value: str | int | None) -> None:
    values: dict[str, str | int | float | bool] = {
        "general.architecture": "llama",
        "llama.embedding_length": 64,
        "llama.block_count": 2,
        "llama.attention.head_count": 4,
        "llama.vocab_size": 100,
    }
    assert shape_of_header(values, {}) is not None
    del values[f"llama.{key}"]
    assert shape_of_header(values if value is None else {**values, f"llama.{key}": value}, {}) is None
