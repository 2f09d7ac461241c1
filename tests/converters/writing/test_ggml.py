"""ggml's row conversion: the same values as numpy's and gguf-py's, and overflow seen."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from coalm_lite.converters.writing.ggml import fits, is_finite, quantize_rows, row_bytes
from coalm_lite.errors import ModelError

KINDS = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16, GGMLQuantizationType.Q8_0)


def every_magnitude(smallest: float) -> NDArray[np.float32]:
    """Rows of 64 finite values: every sign and exponent from `smallest` to F16's largest, with many fractions."""
    patterns = np.arange(0, 1 << 32, 65_537, dtype=np.uint64).astype(np.uint32).view(np.float32)
    kept = patterns[np.isfinite(patterns) & (np.abs(patterns) < 65_504) & (np.abs(patterns) >= smallest)]
    return kept[: kept.size // 64 * 64].reshape(-1, 64)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_rows_have_the_bytes_that_gguf_py_gives(kind: GGMLQuantizationType) -> None:
    # the reciprocal of a smaller scale overflows in a block of 32, in ggml as in gguf-py
    rows = every_magnitude(2.0**-100 if kind is GGMLQuantizationType.Q8_0 else 0)
    assert rows.size > 20_000
    expected = gguf.quants.quantize(rows, kind)
    assert quantize_rows(kind, rows).tobytes() == expected.tobytes()


def test_rows_that_are_not_contiguous_are_converted_in_their_own_order() -> None:
    rows = np.arange(128, dtype=np.float32).reshape(4, 32)[::-1]
    assert quantize_rows(GGMLQuantizationType.F32, rows).tobytes() == rows.tobytes()


def test_a_value_beyond_the_type_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    rows = np.full((1, 32), 70_000, np.float32)
    assert not is_finite(GGMLQuantizationType.F16, quantize_rows(GGMLQuantizationType.F16, rows))
    assert is_finite(GGMLQuantizationType.BF16, quantize_rows(GGMLQuantizationType.BF16, rows))
    assert "inf" in capfd.readouterr().err  # ggml says so itself


def test_q8_0_takes_34_bytes_for_32_values() -> None:
    assert row_bytes(GGMLQuantizationType.Q8_0, 64) == 68
    assert fits(GGMLQuantizationType.Q8_0, 64)
    assert not fits(GGMLQuantizationType.Q8_0, 80)


def test_a_missing_library_is_an_error_that_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from coalm_lite.converters.writing import ggml

    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    ggml._library.cache_clear()
    try:
        with pytest.raises(ModelError, match="holds no ggml-base library") as caught:
            quantize_rows(GGMLQuantizationType.F16, np.zeros((1, 32), np.float32))
    finally:
        ggml._library.cache_clear()
    assert str(tmp_path) in caught.value.message
    assert "llama-cpp-python" in caught.value.hint
