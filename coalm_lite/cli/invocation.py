"""What one invocation of the command line carries to its commands: how models are opened, and how much is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Engine


class EngineFactory(Protocol):
    """Opens the model at a path; what is None is chosen for the machine."""

    def __call__(
        self, path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None
    ) -> Engine: ...


def open_llama(path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None) -> Engine:
    """The model in llama.cpp, which is imported here and not before."""
    from coalm_lite.runtime.llamacpp import LlamaEngine

    return LlamaEngine.load(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)


def open_onnx(path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None) -> Engine:
    """The ONNX folder in onnxruntime, which is imported here and not before; first comes what needs none of it."""
    from coalm_lite.runtime.onnx_folder import read_onnx_folder

    read_onnx_folder(path)
    from coalm_lite.runtime.onnx import OnnxEngine

    return OnnxEngine.load(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)


def open_local(path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None) -> Engine:
    """The model at a path in the engine that runs it: a folder in onnxruntime, a file in llama.cpp."""
    from coalm_lite.store.names import is_folder

    opener = open_onnx if is_folder(path) else open_llama
    return opener(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)


@dataclass
class Invocation:
    """`verbosity`: below 0 the data and errors alone, 1 timings and warnings, 2 logs and tracebacks."""

    open_engine: EngineFactory = open_local
    verbosity: int = 0


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
