"""How a model is loaded on this machine: context, threads, GPU layers, batch. Pure choices, no engine.

`Machine` is what was found, `choose_options` decides from it; explicit wishes win and are checked. Memory is not
looked at here.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from coalm_lite.errors import UsageError

DEFAULT_CONTEXT_TOKENS = 4096
SMALL_PARAMETERS = 64_000_000  # of a model that one process a core serves better than one process with all cores
DEFAULT_BATCH_TOKENS = 512
ALL_LAYERS = -1
MOST_SEQUENCES = 256  # llama.cpp's own limit
# On the CPU, flash attention makes logits depend on how the tokens were cut into batches: reuse of the KV cache would
# change an answer. Weights of these types give equal logits without it in batches of two tokens and more (coalm-nano's
# Q8_0: 0 of 1,924 rows differed; one token alone is computed by other code, and differs by up to 0.09). Those of others
# differ either way (0.06 with Q4_K_M), and lose 4 to 9 % of speed. On long contexts it saves memory for all.
EXACT_CONTEXT_TOKENS = 8192
EXACT_WEIGHTS = frozenset({0, 1, 8, 30})  # F32, F16, Q8_0, BF16
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: logical CPUs, physical cores among them, and whether the build offloads to a GPU."""

    allowed_cpus: int
    physical_cores: int
    gpu_offload: bool


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Every choice of a load, explicit. `gpu_layers=-1` is all; `flash_attention=None` leaves it to the engine.

    `sequences` share a room of `room_tokens`, the context's unless more is wanted, and none is longer than the context.
    """

    context_tokens: int
    threads: int
    batch_threads: int
    gpu_layers: int
    batch_tokens: int
    flash_attention: bool | None
    sequences: int = 1
    room_tokens: int = 0


def this_machine(gpu_offload: bool) -> Machine:
    """The machine as this process sees it: CPU affinity and a container's CPU quota count."""
    import psutil

    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota = quota_cpus(_CPU_QUOTA.read_text() if _CPU_QUOTA.is_file() else "")
    allowed = min(allowed, quota) if quota is not None else allowed
    return Machine(allowed, min(psutil.cpu_count(logical=False) or allowed, allowed), gpu_offload)


def quota_cpus(cpu_max: str) -> int | None:
    """The whole CPUs that a cgroup's `cpu.max` ("200000 100000", "max 100000") grants, at least 1; None: no limit."""
    words = cpu_max.split()
    if len(words) != 2 or not all(word.isdecimal() and int(word) for word in words):
        return None
    return max(1, int(words[0]) // int(words[1]))


def choose_options(  # noqa: PLR0913 - each is a wish of its own
    machine: Machine,
    trained_context_tokens: int,
    *,
    context_tokens: int | None = None,
    threads: int | None = None,
    gpu_layers: int | None = None,
    batch_tokens: int = DEFAULT_BATCH_TOKENS,
    flash_attention: bool | None = None,
    sequences: int = 1,
    room_tokens: int = 0,
) -> EngineOptions:
    """The options for `machine`; UsageError for a wish that cannot be met.

    Context: the trained one, at most 4096 tokens (CoALM was trained at 4096). Threads: one per physical core, since a
    second one per core slows llama.cpp down. GPU layers: all where the build can offload, else none.
    """
    context = _context(trained_context_tokens, context_tokens)
    wanted = machine.physical_cores if threads is None else _between("threads", threads, 1, machine.allowed_cpus)
    if gpu_layers is None:
        gpu_layers = ALL_LAYERS if machine.gpu_offload else 0
    elif gpu_layers and not machine.gpu_offload:
        raise UsageError(
            f"gpu_layers is {gpu_layers}, and this llama.cpp build cannot use a GPU",
            "Leave it out, or install llama-cpp-python built for Metal or CUDA.",
        )
    return EngineOptions(
        context_tokens=context,
        threads=wanted,
        batch_threads=wanted,
        gpu_layers=max(gpu_layers, ALL_LAYERS),
        batch_tokens=min(_between("batch_tokens", batch_tokens, 1, 1 << 16), context),
        flash_attention=flash_attention,
        sequences=_between("sequences", sequences, 1, MOST_SEQUENCES),
        room_tokens=max(context, room_tokens),
    )


def exact_where_possible(options: EngineOptions, machine: Machine, weight_types: Collection[int]) -> EngineOptions:
    """`options` without flash attention where that makes logits independent of batches, unless it was wished for.

    That is on the CPU, up to 8192 tokens, for a model whose tensors have `EXACT_WEIGHTS` alone.
    """
    on_cpu = not machine.gpu_offload and options.context_tokens <= EXACT_CONTEXT_TOKENS
    if options.flash_attention is None and on_cpu and EXACT_WEIGHTS.issuperset(weight_types):
        return replace(options, flash_attention=False)
    return options


def _context(trained: int, wanted: int | None) -> int:
    if wanted is None:
        return min(trained, DEFAULT_CONTEXT_TOKENS)
    return _between("context", wanted, 1, trained)


def _between(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}, outside {low} to {high}", f"Give a {name} of at most {high}.")
    return value
