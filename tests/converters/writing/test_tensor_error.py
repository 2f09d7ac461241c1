from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants
from numpy.typing import NDArray

from coalm_lite.converters.writing.ggml import dequantize_into, fits, quantize_rows
from coalm_lite.converters.writing.tensor_error import SquaredError, is_plausible, squared_error, summary
from coalm_lite.runtime.gguf_types import BLOCKS, NOT_WEIGHTS

Kind = GGMLQuantizationType
MADE = [
    *(Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q6_K, Kind.Q5_K, Kind.Q5_0, Kind.Q5_1, Kind.Q4_K, Kind.Q4_0),
    *(Kind.Q4_1, Kind.IQ4_XS, Kind.IQ4_NL, Kind.Q3_K, Kind.IQ3_S, Kind.IQ3_XXS, Kind.Q2_K),
]
READ = [kind for kind in Kind if kind in BLOCKS and kind not in NOT_WEIGHTS]


def weights(rows: int = 70, columns: int = 1024, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)


def expected(kind: Kind, values: NDArray[np.float32], data: NDArray[np.uint8]) -> float:
    """The same by gguf-py's own reading of the bytes, in double precision."""
    found = quants.dequantize(data, kind).reshape(values.shape).astype(np.float64)
    return float(np.sqrt(((found - values) ** 2).sum() / (values.astype(np.float64) ** 2).sum()))


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.name)
def test_the_error_is_that_of_gguf_py_and_plausible(kind: Kind) -> None:
    values = weights()
    data = quantize_rows(kind, values)
    error = squared_error(kind, values, data)
    assert error.relative == pytest.approx(expected(kind, values, data), rel=1e-5)
    assert is_plausible(kind, error)


def gguf_py_reads(kind: Kind) -> bool:
    try:
        quants.dequantize(np.zeros(GGML_QUANT_SIZES[kind][1], dtype=np.uint8), kind)
    except NotImplementedError:
        return False
    return True


@pytest.mark.parametrize("kind", [kind for kind in READ if gguf_py_reads(kind)], ids=lambda kind: kind.name)
def test_any_bytes_are_read_as_gguf_py_reads_them(kind: Kind) -> None:
    block_values, block_bytes = GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(1).integers(0, 256, 64 * block_bytes, dtype=np.uint8)
    if kind not in (Kind.F32, Kind.F16, Kind.BF16):
        data &= 0x3F  # scales stay numbers
    values = np.empty(64 * block_values, dtype=np.float32)
    dequantize_into(values, kind, data)
    np.testing.assert_allclose(values, quants.dequantize(data, kind), rtol=1e-6)


def test_blocks_added_in_order_give_the_same_sum_whoever_computes_them() -> None:
    blocks = [weights(seed=seed) for seed in range(8)]

    def error_of(block: NDArray[np.float32]) -> SquaredError:
        return squared_error(Kind.Q4_K, block, quantize_rows(Kind.Q4_K, block))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert sum(pool.map(error_of, blocks), SquaredError()) == sum(map(error_of, blocks), SquaredError())
    together = np.concatenate(blocks)
    whole = squared_error(Kind.Q4_K, together, quantize_rows(Kind.Q4_K, together))
    assert sum(map(error_of, blocks), SquaredError()).relative == pytest.approx(whole.relative, rel=1e-6)


@pytest.mark.parametrize("damage", ["swapped rows", "another tensor", "zeros", "a bit of a scale"])
@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.name)
def test_a_tensor_that_is_not_the_sources_is_not_plausible(kind: Kind, damage: str) -> None:
    values = weights(rows=8)
    data = quantize_rows(kind, values)
    match damage:
        case "swapped rows":
            data = np.roll(data.reshape(8, -1), 1, axis=0).reshape(-1)
        case "another tensor":
            data = quantize_rows(kind, weights(rows=8, seed=1))
        case "zeros":
            data[:] = 0
        case _:
            data = quantize_rows(kind, values * np.float32(2))
    assert not is_plausible(kind, squared_error(kind, values, data))


def test_zeros_that_stay_zeros_have_no_error_and_others_an_endless_one() -> None:
    zeros = np.zeros((1, 256), dtype=np.float32)
    assert squared_error(Kind.Q4_K, zeros, quantize_rows(Kind.Q4_K, zeros)).relative == 0
    made = squared_error(Kind.F32, zeros, np.ones(256, dtype=np.float32).view(np.uint8))
    assert made.relative == float("inf")
    assert not is_plausible(Kind.F32, made)


def test_what_is_no_number_is_never_plausible() -> None:
    values = weights(rows=1)
    data = quantize_rows(Kind.F32, values)
    data.view(np.float32)[7] = np.nan
    assert not is_plausible(Kind.F32, squared_error(Kind.F32, values, data))


def test_lengths_that_do_not_belong_together_are_refused() -> None:
    values, data = weights(rows=1), quantize_rows(Kind.Q4_K, weights(rows=1))
    assert fits(Kind.Q4_K, values.size)
    for wrong in (data[:-1], data[:-144], np.append(data, data)):
        with pytest.raises(ValueError, match="are not 1024 values"):
            dequantize_into(values.reshape(-1), Kind.Q4_K, wrong)


def test_the_summary_names_the_worst_tensor_and_the_mean_of_each_type() -> None:
    errors = {"a": SquaredError(1, 100), "b": SquaredError(9, 100), "c": SquaredError(0, 5)}
    found = summary(errors, {"a": "Q4_K", "b": "Q4_K", "c": "F32"})
    assert (found.tensors, found.worst, found.worst_tensor) == (3, 0.3, "b")
    assert found.by_type == pytest.approx({"F32": 0.0, "Q4_K": 0.2})
    assert summary({}, {}).tensors == 0
