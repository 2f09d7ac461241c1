"""What every engine offers: tokens in, logits out, one sequence at a time, and grammars over its tokens.

An engine keeps the keys and values (the KV cache) of one token sequence. `prefill` replaces that sequence and computes
only what differs, `extend` appends to it. Some engines hold several sequences and compute them in one batch, with
logits wherever they are wanted: `ManySequences`. Sampling is not an engine's work (see `coalm_lite.decoding`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress, count
from operator import ne
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, runtime_checkable

from coalm_lite.errors import ContextFullError
from coalm_lite.types import ModelInfo, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Logits: TypeAlias = NDArray[np.float32]


class Cancelled(Exception):  # noqa: N818 - the caller's own wish came true, which is no error
    """Raised inside an engine when its `Cancel` was set. The engine stays usable."""


class Cancel:
    """A wish to stop: `set` from any thread, once; make a new one for the next turn.

    The flag is a C string, empty until it is set, so that native code reads it without the interpreter's lock.
    """

    __slots__ = ("_flag", "_listeners")

    def __init__(self) -> None:
        self._flag = ctypes.create_string_buffer(2)
        self._listeners: list[Callable[[], object]] = []

    def set(self) -> None:
        """Ask for the stop."""
        self._flag[0] = b"\x01"
        for listener in [*self._listeners]:
            listener()

    def tell(self, listener: Callable[[], object]) -> None:
        """Have `listener` called when the stop is asked for, at once if it was; twice if both happen together.

        It runs where `set` is called, which may be a signal handler: it must not wait for a lock.
        """
        self._listeners.append(listener)
        if self.is_set:
            listener()

    def forget(self, listener: Callable[[], object]) -> None:
        """Call it no more; nothing for one that is not there."""
        with suppress(ValueError):
            self._listeners.remove(listener)

    @property
    def is_set(self) -> bool:
        """Whether the stop was asked for."""
        return self._flag.raw[0] != 0

    @property
    def address(self) -> int:
        """Where the C string lies; valid while this object lives."""
        return ctypes.addressof(self._flag)

    def check(self) -> None:
        """Raise Cancelled when the stop was asked for."""
        if self.is_set:
            raise Cancelled


@dataclass(frozen=True, slots=True)
class Prefill:
    """How a prompt's tokens came into the KV cache: kept from before, or computed."""

    reused_tokens: int
    computed_tokens: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens that go on `sequence`, and the places among them, ascending, behind which logits are wanted."""

    sequence: int
    tokens: Sequence[int]
    wanted: Sequence[int] = ()


class Constraint(Protocol):
    """A grammar and how far its text has come. Works as long as its engine is open."""

    def allows(self, token: int) -> bool:
        """Whether `token` may come next; the price of one candidate, not of the vocabulary."""
        ...

    def mask(self, logits: Logits) -> Logits:
        """A new array: `logits`, with -inf for every token that may not come next. Shape [vocabulary]."""
        ...

    def accept(self, token: int) -> None:
        """Move on by `token`; raises DecodingError, and stays where it is, when `allows` refuses it."""
        ...

    def finished(self) -> bool:
        """Whether the text is complete and nothing but an end token may follow."""
        ...

    def close(self) -> None:
        """Free it; a second call does nothing."""
        ...


class Engine(Protocol):
    """A loaded model with one token sequence. One thread at a time; raises DecodingError when two enter."""

    @property
    def info(self) -> ModelInfo: ...

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens. Only marker segments become special tokens; nothing is added, no BOS either."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes that `token` writes, perhaps a part of a character; b"" for a special token."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether `token` ends an answer."""
        ...

    def prefill(self, tokens: Sequence[int], cancel: Cancel) -> Prefill:
        """Make the KV cache hold exactly `tokens`, keeping the longest common prefix with what it holds.

        The last token is always computed, so that its logits exist. Raises ContextFullError before any work; raises
        Cancelled with the finished part kept, which the next call reuses.
        """
        ...

    def extend(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append `tokens`, in one batch where they fit into one; the logits are those of the last.

        Raises ContextFullError before any work; raises Cancelled with whole batches kept, or nothing.
        """
        ...

    def logits(self) -> Logits:
        """The logits after the last token, a copy. Shape [vocabulary]."""
        ...

    def constraint(self, gbnf: str) -> Constraint:
        """A fresh constraint for a grammar with the start rule `root`; DecodingError when it does not compile."""
        ...

    def close(self) -> None:
        """Free everything; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class ManySequences(Protocol):
    """What an engine can offer besides: several sequences over one KV cache, whose room they share.

    Sequence 0 is the one of `prefill`, `extend` and `logits`. What sequences have in common is held once.
    """

    @property
    def sequences(self) -> int:
        """How many there are, numbered from 0."""
        ...

    @property
    def batch_tokens(self) -> int:
        """How many tokens `compute` takes at most."""
        ...

    @property
    def can_cut(self) -> bool:
        """Whether the end of a sequence can be taken back; if not, a cut empties it."""
        ...

    def held(self, sequence: int) -> Sequence[int]:
        """The tokens whose keys and values are there; not to be changed."""
        ...

    def free_tokens(self) -> int:
        """The room that is left for all sequences together."""
        ...

    def cut(self, sequence: int, count: int) -> int:
        """Keep the first `count` tokens at most; returns how many are left, fewer where a memory cannot be cut."""
        ...

    def share(self, source: int, target: int, count: int) -> None:
        """Make `target` the first `count` tokens of `source`, at no cost of time or room."""
        ...

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> list[Logits]:
        """Append the stretches, one a sequence, in one batch; for each its logits. Shape [rows, vocabulary].

        Raises ContextFullError before any work, and Cancelled with nothing kept.
        """
        ...


@runtime_checkable
class TokenizesBeside(Protocol):
    """What an engine can offer besides: tokens of a text while another thread computes."""

    def tokenize_beside(self, prompt: Prompt) -> list[int]:
        """As `Engine.tokenize`, from any thread; its user sees to it that nobody closes the engine meanwhile."""
        ...


@runtime_checkable
class KeepsState(Protocol):
    """What an engine can offer besides: the keys and values of its sequence as bytes, for another process."""

    @property
    def state_key(self) -> str:
        """What must be equal for a state to mean anything: model, context settings, kinds of values, version."""
        ...

    def copy_state(self) -> NDArray[np.uint8]:
        """The state of sequence 0; empty if the engine cannot tell."""
        ...

    def restore_state(self, tokens: Sequence[int], state: NDArray[np.uint8]) -> bool:
        """Make sequence 0 hold `tokens`, of which `state` is the whole and undamaged state; False if it cannot."""
        ...


def common_prefix_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens `left` and `right` share from their start."""
    # At the speed of C: it is asked of every lane for every prompt.
    return next(compress(count(), map(ne, left, right)), min(len(left), len(right)))


def check_room(held: int, new: int, context_tokens: int) -> None:
    """Raise ContextFullError when `new` tokens after `held` ones pass the context."""
    if held + new > context_tokens:
        before = f" after the {held} it holds" if held else ""
        raise ContextFullError(
            f"{new} more tokens{before} need {held + new} tokens of context, and {context_tokens} are available",
            f"Raise it with --context {_next_context(held + new)} if the model and the memory allow, "
            "or shorten the conversation.",
        )


def _next_context(needed: int) -> int:
    """A round context size with space for an answer beside `needed` tokens."""
    return (needed // 1024 + 2) * 1024
