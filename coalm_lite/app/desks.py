"""What the parts of an app share: a model that any thread may ask, that says how busy it is, and that is closed.

`SharedDesk` has the engine on a thread of this process, `IsolatedDesk` in a process of its own; `open_desk` makes
either. The API, the server and the example app know this protocol alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from coalm_lite.decoding.desk import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskState:
    """A desk at one moment, and what it did since it was opened.

    `loaded`: an engine is there and takes requests. `waiting` have not begun, `answering` are in work, on at most
    `sequences` at once. `answered`, `cancelled` and `failed` are finished ones. Token counts are theirs: `reused` ones
    of a prompt were not computed. `restarts`: how often a crashed engine was replaced.
    """

    loaded: bool
    sequences: int
    waiting: int = 0
    answering: int = 0
    answered: int = 0
    cancelled: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    reused_tokens: int = 0
    answer_tokens: int = 0
    restarts: int = 0


@runtime_checkable
class AppDesk(Desk, Protocol):
    """A `Desk` for any thread: several answers at once, begun in the order in which they were asked for.

    An answer is asked for at its generator's first `next`. Its `request.cancel`, set from any thread, ends it with a
    `Generated` of the reason "cancelled" within a token's time, though the engine be busy with others: then `tokens` is
    empty, and `text` has what was yielded. Closing the generator drops the request and waits for nothing.
    """

    @property
    def state(self) -> DeskState:
        """How it is just now; at no cost, from any thread."""
        ...

    def close(self) -> None:
        """Free the engine. Answers in work end with a DecodingError, as later calls do; a second close does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
