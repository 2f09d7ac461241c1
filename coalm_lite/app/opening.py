"""Opens a model as a desk: in this process or in one of its own, once it is known to fit into memory.

A model that does not fit is refused before it is loaded, with the numbers. What it needs is told by a formula for GGUF
files (pull/memory.py), and for ONNX folders by what their files alone take. Where llama.cpp has a graphics card, only
`max_memory_bytes` refuses: how much room the card has is not known here. Nothing holds a loaded model to its limit: the
system's limits (RLIMIT_DATA, RLIMIT_AS) count addresses, and llama.cpp reserves more of them than it ever uses (273 MB
of data for coalm-nano with four answers at once, 71 MB of them in memory), so a limit would end models that fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coalm_lite.app.desks import AppDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.shared import SharedDesk
from coalm_lite.errors import ModelTooLargeError
from coalm_lite.pull.machine import this_machine
from coalm_lite.pull.memory import PROCESS_BYTES, MemoryNeed, memory_need, shape_of_header
from coalm_lite.pull.plan import gigabytes, has_gpu
from coalm_lite.runtime.model_file import check_model_file, model_bytes, trained_context_tokens
from coalm_lite.runtime.onnx_folder import read_onnx_folder
from coalm_lite.runtime.opening import open_engine
from coalm_lite.runtime.options import DEFAULT_CONTEXT_TOKENS, EXACT_CONTEXT_TOKENS, MOST_SEQUENCES
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.store.names import is_folder

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Engine

# Conversations for each answer at once: what they hold stays until its room is wanted. With four, coalm-nano's batches
# go over so many cells that eight conversations have 0.6 of the requests a second that they have with two.
KEPT = 2
_ROOM_CONTEXTS = 4  # of the common cache: what prompts share is held once, so more answers than these fit


def open_desk(spec: ModelSpec, *, isolate: bool = True, prefixes: SnapshotFolder | None = None) -> AppDesk:
    """The model as a desk, in a process of its own with `isolate`; `prefixes`: where computed tool blocks are kept.

    Raises ModelTooLargeError for a model that does not fit, ModelError for what is no model, UsageError for options
    that do not fit.
    """
    spec, need = sized(spec)
    _check_memory(spec, need)
    if isolate:
        from coalm_lite.app.isolated import IsolatedDesk

        return IsolatedDesk(spec, prefixes)
    return SharedDesk(open_spec(spec), prefixes, spec.sequences)


def open_spec(spec: ModelSpec) -> Engine:
    """The engine that a spec means; `room_tokens` of None is one context."""
    room = spec.room_tokens or 0
    return open_engine(
        spec.path,
        context_tokens=spec.context_tokens,
        threads=spec.threads,
        gpu_layers=spec.gpu_layers,
        sequences=_lanes(spec.sequences),
        room_tokens=room,
        # Without it, attention's weights for every cell of a large room are in memory at once.
        flash_attention=True if room > EXACT_CONTEXT_TOKENS else None,
    )


def _lanes(answers: int) -> int:
    """Sequences for the answers in work, and where there are several of those for conversations that may go on."""
    return answers if answers == 1 else max(answers, min(KEPT * answers, MOST_SEQUENCES))


def sized(spec: ModelSpec) -> tuple[ModelSpec, MemoryNeed]:
    """The spec with its room chosen, and what the model takes with it, computed on the CPU."""
    spec = replace(spec, path=spec.path.absolute())
    if is_folder(spec.path):
        return spec, MemoryNeed(read_onnx_folder(spec.path).size_bytes, 0, PROCESS_BYTES)
    header = check_model_file(spec.path)
    context = spec.context_tokens or min(trained_context_tokens(header), DEFAULT_CONTEXT_TOKENS)
    room = max(context, spec.room_tokens or context * min(spec.sequences, _ROOM_CONTEXTS))
    shape, weights = shape_of_header(header.values, header.arrays), model_bytes(spec.path, header)
    need = MemoryNeed(weights, 0, PROCESS_BYTES) if shape is None else memory_need(shape, weights, room)
    return replace(spec, room_tokens=room), need


def _check_memory(spec: ModelSpec, need: MemoryNeed) -> None:
    if spec.max_memory_bytes is not None and need.total_bytes > spec.max_memory_bytes:
        raise _too_large(spec, need, f"{gigabytes(spec.max_memory_bytes)} are allowed (max_memory_bytes)")
    free = this_machine().available_bytes
    if need.total_bytes > free and not has_gpu():
        raise _too_large(spec, need, f"this machine has {gigabytes(free)} free")


def _too_large(spec: ModelSpec, need: MemoryNeed, limit: str) -> ModelTooLargeError:
    parts = (
        f"weights {gigabytes(need.weights_bytes)}, cache {gigabytes(need.kv_bytes)}, "
        f"buffers {gigabytes(need.buffer_bytes)}"
    )
    return ModelTooLargeError(
        f"{spec.path} needs about {gigabytes(need.total_bytes)} of memory ({parts}), and {limit}",
        "Choose a smaller quant, a shorter context (context_tokens) or fewer answers at once (sequences), "
        "or close other programs.",
    )
