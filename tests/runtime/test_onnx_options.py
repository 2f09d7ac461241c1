"""Which execution providers are asked for, by what onnxruntime reports on each platform."""

from __future__ import annotations

import pytest

from coalm_lite.errors import MissingExtraError, UsageError
from coalm_lite.runtime.onnx_options import (
    COREML,
    CPU,
    CUDA,
    DIRECTML,
    ROCM,
    cache_device,
    check_version,
    choose_providers,
)

AZURE = "AzureExecutionProvider"
LINUX_CPU = (AZURE, CPU)
LINUX_CUDA = ("TensorrtExecutionProvider", CUDA, CPU)
WINDOWS = (DIRECTML, CPU)
MAC = (COREML, AZURE, CPU)


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (LINUX_CPU, (CPU,)),
        (LINUX_CUDA, (CUDA, CPU)),
        ((ROCM, CPU), (ROCM, CPU)),
        (WINDOWS, (DIRECTML, CPU)),
        (MAC, (CPU,)),
        ((CPU, DIRECTML, CUDA), (CUDA, CPU)),
    ],
)
def test_the_best_provider_is_chosen_and_the_cpu_comes_last(
    available: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    assert choose_providers(available, None) == chosen


@pytest.mark.parametrize("available", [LINUX_CPU, LINUX_CUDA, WINDOWS, MAC])
def test_no_gpu_layers_mean_the_cpu_alone(available: tuple[str, ...]) -> None:
    assert choose_providers(available, 0) == (CPU,)


def test_all_layers_mean_any_accelerator_even_one_that_is_not_chosen_by_itself() -> None:
    assert choose_providers(MAC, -1) == (COREML, CPU)
    assert choose_providers(LINUX_CUDA, -1) == (CUDA, CPU)


def test_an_accelerator_that_is_not_there_is_an_error() -> None:
    with pytest.raises(
        UsageError, match="has no accelerator: it offers AzureExecutionProvider, CPUExecution"
    ) as raised:
        choose_providers(LINUX_CPU, -1)
    assert "onnxruntime-gpu" in raised.value.hint


@pytest.mark.parametrize("layers", [1, 33, -2])
def test_a_part_of_the_layers_is_refused(layers: int) -> None:
    with pytest.raises(UsageError, match=f"gpu_layers is {layers}") as raised:
        choose_providers(LINUX_CUDA, layers)
    assert "-1" in raised.value.hint


@pytest.mark.parametrize("version", ["1.25.0", "1.32.0", "2.0.1", "1.25", "1.26.0.dev20260101"])
def test_a_version_that_guards_the_folder_is_taken(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["1.24.4", "1.9.0", "0.30", "1", "", "newest.one"])
def test_an_older_version_is_refused_with_the_reason(version: str) -> None:
    with pytest.raises(MissingExtraError, match="can read files outside its folder") as raised:
        check_version(version)
    assert "onnxruntime>=1.25" in raised.value.hint


def test_the_cache_stays_where_it_is_computed() -> None:
    assert [cache_device(provider) for provider in (CPU, CUDA, ROCM, DIRECTML, COREML)] == [
        "cpu",
        "cuda",
        "cuda",
        "dml",
        "cpu",
    ]
