"""On which device onnxruntime computes: the execution providers for a platform. Pure choices, no engine.

Measured is the CPU alone. CUDA, ROCm and DirectML are taken where this onnxruntime has them; CoreML only on request: it
compiles graphs of fixed shapes, and in a decoder whose cache grows with every token it is left with small pieces
between which the tensors travel.
"""

from __future__ import annotations

from collections.abc import Sequence

from coalm_lite.errors import MissingExtraError, UsageError
from coalm_lite.runtime.options import ALL_LAYERS

OLDEST_VERSION = (1, 25)  # the first that lets no model read files outside its folder, tried with 1.20 to 1.32
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
DIRECTML = "DmlExecutionProvider"
ROCM = "ROCMExecutionProvider"
COREML = "CoreMLExecutionProvider"
_BY_THEMSELVES = (CUDA, ROCM, DIRECTML)
_DEVICES = {CUDA: "cuda", ROCM: "cuda", DIRECTML: "dml"}  # onnxruntime's words for where a tensor lies


def check_version(version: str) -> None:
    """Raise MissingExtraError for an onnxruntime that is too old, or whose version cannot be read."""
    numbers = version.split(".")[:2]
    if len(numbers) < 2 or not all(map(str.isdecimal, numbers)) or tuple(map(int, numbers)) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise MissingExtraError(
            f"onnxruntime {version} is too old: before {oldest} a model's graph can read files outside its folder",
            f"Update it: pip install 'onnxruntime>={oldest}'.",
        )


def choose_providers(available: Sequence[str], gpu_layers: int | None) -> tuple[str, ...]:
    """The providers to ask for, in this order; the CPU, which computes what the others cannot, comes last.

    `available` is what onnxruntime reports. `gpu_layers`: None takes the best that is known to help, 0 the CPU alone,
    -1 any accelerator there is. UsageError for another number, since a graph runs whole on one device, and for -1
    without an accelerator.
    """
    if gpu_layers == 0:
        return (CPU,)
    if gpu_layers is not None and gpu_layers != ALL_LAYERS:
        raise UsageError(
            f"gpu_layers is {gpu_layers}, and an ONNX model runs whole on one device",
            f"Give {ALL_LAYERS} for the accelerator, 0 for the CPU, or leave it out.",
        )
    wanted = _BY_THEMSELVES if gpu_layers is None else (*_BY_THEMSELVES, COREML)
    found = next((provider for provider in wanted if provider in available), None)
    if found is None and gpu_layers is not None:
        raise UsageError(
            "this onnxruntime has no accelerator: it offers " + ", ".join(available),
            "Leave gpu_layers out, or install onnxruntime-gpu (CUDA) or onnxruntime-directml (Windows).",
        )
    return (found, CPU) if found else (CPU,)


def cache_device(provider: str) -> str:
    """Where the KV cache stays between two tokens when `provider` computes."""
    return _DEVICES.get(provider, "cpu")
