"""What a pull will do, known before its first byte: which file, its size, disk, memory and licence, what forbids it.

Memory is held against all that this process may use, not what is free at the moment: other programs can be closed.
Whether a graphics card has room for the weights is not known here, so with one, memory forbids nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.pull.licenses import is_accepted, is_non_commercial
from coalm_lite.pull.machine import Machine, free_disk_bytes, this_machine
from coalm_lite.pull.memory import MemoryNeed, ModelShape, memory_need, shape_of_header, shape_of_size
from coalm_lite.pull.presence import kept_file, partial_bytes
from coalm_lite.pull.wanted import Description, describe, wanted_place
from coalm_lite.runtime.gguf_header import LeadingValues, read_leading_values
from coalm_lite.runtime.gguf_reader import quoted
from coalm_lite.runtime.llama_limits import ARCHITECTURE, SPLITTER_KEY, tokenizer_problem
from coalm_lite.runtime.options import DEFAULT_CONTEXT_TOKENS
from coalm_lite.store.cache import HubCache

_START_BYTES = 256 << 10  # reaches past a file's hyperparameters
_GIGABYTE = 1e9
_CHOOSE_HINT = "Choose a model such as 8b-q4."


class PullRefusedError(CoalmError):
    """The pull does not begin: the model does not fit this machine, or its licence was not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPlan:
    """What a pull will do. `kept`: the bytes are in the cache. `memory` is None where the model's shape is unknown.

    `needs_consent`: the licence allows no commercial use and has not been accepted yet.
    """

    description: Description
    remote: RemoteFile
    license: str
    needs_consent: bool
    kept: bool
    partial_bytes: int
    free_disk_bytes: int
    context_tokens: int
    memory: MemoryNeed | None
    machine: Machine

    @property
    def missing_bytes(self) -> int:
        """What is still to be fetched."""
        return 0 if self.kept else self.remote.size_bytes - self.partial_bytes

    def obstacles(self) -> tuple[str, ...]:
        """Why the model cannot be kept or used here, in words."""
        found = []
        if self.missing_bytes > self.free_disk_bytes:
            found.append(
                f"the disk has {gigabytes(self.free_disk_bytes)} free, and {gigabytes(self.missing_bytes)} are needed"
            )
        if self.memory and self.memory.total_bytes > self.machine.total_bytes and not has_gpu():
            found.append(
                f"it needs {gigabytes(self.memory.total_bytes)} of memory with a context of {self.context_tokens}"
                f" tokens, and this machine has {gigabytes(self.machine.total_bytes)}"
            )
        return tuple(found)

    def check(self) -> None:
        """Raise PullRefusedError when something speaks against it."""
        obstacles = self.obstacles()
        if obstacles:
            hint = "A smaller quant, --context or another HF_HOME may fit; --force pulls it all the same."
            raise PullRefusedError(f"{self.description.name} does not fit: {'; '.join(obstacles)}", hint)


def gigabytes(count: int) -> str:
    """`4.92 GB`, in decimal units as disks and networks are sold; small counts in MB."""
    return f"{count / _GIGABYTE:.2f} GB" if count >= _GIGABYTE / 10 else f"{count / 1e6:.2f} MB"


def plan_pull(text: str, client: HubClient, cache: HubCache, context_tokens: int | None = None) -> PullPlan:
    """What pulling `text` will do, as the Hub, the cache and this machine are now.

    `context_tokens` is what the model will be used with; None takes what `chat` would. Raises the Hub's refusals, and
    ModelError for a file that is no model that can be loaded, as far as its first bytes tell.
    """
    place = wanted_place(text)
    remote = client.find(place)
    description = describe(place, remote)
    size = description.size
    shape, trained = _shape_of_start(client, remote) if size is None else (shape_of_size(size), size.context_tokens)
    context_tokens = context_tokens or min(trained, DEFAULT_CONTEXT_TOKENS)
    license_text = size.license if size is not None else remote.license
    non_commercial = size.non_commercial if size is not None else is_non_commercial(remote.license)
    return PullPlan(
        description=description,
        remote=remote,
        license=license_text,
        needs_consent=non_commercial and not is_accepted(license_text),
        kept=kept_file(cache, remote) is not None,
        partial_bytes=partial_bytes(cache, remote),
        free_disk_bytes=free_disk_bytes(cache.root),
        context_tokens=context_tokens,
        memory=memory_need(shape, remote.size_bytes, context_tokens) if shape else None,
        machine=this_machine(),
    )


def _shape_of_start(client: HubClient, remote: RemoteFile) -> tuple[ModelShape | None, int]:
    """The shape and trained context that the file's first bytes tell."""
    start = read_leading_values(client.read_start(remote, _START_BYTES), remote.place, remote.size_bytes)
    architecture = start.values.get("general.architecture", ARCHITECTURE)
    if architecture != ARCHITECTURE:
        raise ModelError(
            f"{remote.place} has the architecture {quoted(architecture)}; only {ARCHITECTURE!r}, CoALM's, works",
            _CHOOSE_HINT,
        )
    problem = tokenizer_problem(start.values) if SPLITTER_KEY in start.values or start.complete else ""
    if problem:
        raise ModelError(f"{remote.place} {problem}", _CHOOSE_HINT)
    return shape_of_header(start.values, start.arrays), _trained_context_tokens(start)


def _trained_context_tokens(start: LeadingValues) -> int:
    value = start.values.get(f"{ARCHITECTURE}.context_length")
    return value if isinstance(value, int) and value > 0 else DEFAULT_CONTEXT_TOKENS


def has_gpu() -> bool:
    """Whether llama.cpp was built for a graphics card; loads it, so ask only where it matters."""
    from coalm_lite.runtime.llamacpp import llama_build

    _, gpu_offload = llama_build()
    return gpu_offload
