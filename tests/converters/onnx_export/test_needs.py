"""Memory and disk of an ONNX conversion: the formula against what was measured, and both numbers in the refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.converters.onnx_export.needs import Needs, check_needs, conversion_needs
from coalm_lite.errors import ModelError, StoreError

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("parameters", "graph_values", "half", "peak_bytes"),
    [
        (252_986_368, 384_320_512, False, 5839 * MEGABYTE),
        (252_986_368, 384_320_512, True, 3192 * MEGABYTE),
        (384_320_512, 384_320_512, False, 6348 * MEGABYTE),
        (505_971_712, 505_971_712, False, 8219 * MEGABYTE),
        (505_971_712, 505_971_712, True, 4483 * MEGABYTE),
        (627_622_912, 627_622_912, False, 5741 * MEGABYTE),
    ],
)
def test_the_formula_is_at_or_a_little_above_the_measured_peaks(
    parameters: int, graph_values: int, half: bool, peak_bytes: int
) -> None:
    needed = conversion_needs(parameters, graph_values, half).memory_bytes
    assert peak_bytes <= needed <= 1.15 * peak_bytes


def test_an_8b_model_is_told_to_need_what_no_laptop_has() -> None:
    needs = conversion_needs(8_030_261_248, 8_030_261_248, half=False)
    assert 70e9 < needs.memory_bytes < 80e9
    assert needs.disk_bytes == 8 * 8_030_261_248
    assert conversion_needs(8_030_261_248, 8_030_261_248, half=False, bits=4).memory_bytes == needs.memory_bytes


def test_eight_bits_take_more_than_the_export_of_a_large_model() -> None:
    values = 628_000_000
    needed = conversion_needs(values, values, half=False, bits=8).memory_bytes
    assert needed > conversion_needs(values, values, half=False).memory_bytes
    assert needed > 4 * values * (4012 * MEGABYTE / (4 * 384_320_512))  # as measured of a smaller one, by size


def test_too_little_memory_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"needs 1000000\.00 GB of memory, and \d+\.\d\d GB are available") as raised:
        check_needs(Needs(10**15, 0), tmp_path / "m")
    assert "--to gguf" in raised.value.hint


def test_too_little_disk_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"needs 1000000\.00 GB of disk, and \d+\.\d\d GB are free") as raised:
        check_needs(Needs(0, 10**15), tmp_path / "m")
    assert raised.value.hint


def test_enough_of_both_is_no_error(tmp_path: Path) -> None:
    check_needs(Needs(1, 1), tmp_path / "m")
    with pytest.raises(StoreError, match="nowhere"):
        check_needs(Needs(1, 1), tmp_path / "nowhere" / "m")
