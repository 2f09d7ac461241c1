"""Which model is opened, and how: what an engine's process is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model and how it is opened, for another process too; None is chosen by the model or the machine.

    `sequences`: how many answers at once, sharing a room of `room_tokens` (one context for each, at most four).
    """

    path: Path
    context_tokens: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    sequences: int = 1
    room_tokens: int | None = None
    max_memory_bytes: int | None = None
