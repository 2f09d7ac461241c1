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


def open_local(path: Path, *, context_tokens: int | None, threads: int | None, gpu_layers: int | None) -> Engine:
    """The model at a path in the engine that runs it."""
    from coalm_lite.runtime.opening import open_engine

    return open_engine(path, context_tokens=context_tokens, threads=threads, gpu_layers=gpu_layers)


@dataclass
class Invocation:
    """`verbosity`: below 0 the data and errors alone, 1 timings and warnings, 2 logs and tracebacks."""

    open_engine: EngineFactory = open_local
    verbosity: int = 0


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
