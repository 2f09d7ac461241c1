"""Opens the model at a path in the engine that runs it: a folder in onnxruntime, a file in llama.cpp.

The engines' packages are imported here and not before: they take a while, and onnxruntime may be missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coalm_lite.store.names import is_folder

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Engine


def open_engine(
    path: Path,
    *,
    context_tokens: int | None = None,
    threads: int | None = None,
    gpu_layers: int | None = None,
    sequences: int = 1,
    room_tokens: int = 0,
    flash_attention: bool | None = None,
) -> Engine:
    """The loaded model; what is None is chosen for the machine. An ONNX folder has one sequence, whatever is asked."""
    if is_folder(path):
        return open_onnx(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)
    from coalm_lite.runtime.llamacpp import LlamaEngine

    return LlamaEngine.load(
        path,
        context_tokens=context_tokens,
        threads=threads,
        gpu_layers=gpu_layers,
        sequences=sequences,
        room_tokens=room_tokens,
        flash_attention=flash_attention,
    )


def open_onnx(path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None) -> Engine:
    """The ONNX folder in onnxruntime; what needs none of it is looked at first."""
    from coalm_lite.runtime.onnx_folder import read_onnx_folder

    read_onnx_folder(path)
    from coalm_lite.runtime.onnx import OnnxEngine

    return OnnxEngine.load(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)
