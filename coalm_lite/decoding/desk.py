"""Where prompts are answered, told apart from how: an engine of this process, one that threads share, or a child's.

A session, the app's API and the server know this protocol alone; `EngineDesk` is its plainest form.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, runtime_checkable

from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.prefix import Outcome, ready_prefix
from coalm_lite.decoding.requests import Generated, Piece, Request
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import ModelInfo, Prompt


@runtime_checkable
class Desk(Protocol):
    """A model that answers prompts. Whether threads may share it, its class says."""

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        ...

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, as `Engine.tokenize`."""
        ...

    def answer(self, request: Request) -> Generator[Piece | Generated, None, None]:
        """The answer's pieces as they come, one `Generated` last; the errors are those of `generate`.

        Closing the generator early drops the request.
        """
        ...

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        """Have the beginning of prompts to come at hand, from disk perhaps; raises Cancelled when `cancel` is set."""
        ...


class EngineDesk:
    """An engine of this process, for one thread. `prefixes`: where tool blocks' computed states are kept, if at all."""

    def __init__(self, engine: Engine, prefixes: SnapshotFolder | None = None) -> None:
        self.engine = engine
        self._prefixes = prefixes

    @property
    def info(self) -> ModelInfo:
        """The engine's."""
        return self.engine.info

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The engine's tokens."""
        return self.engine.tokenize(prompt)

    def answer(self, request: Request) -> Generator[Piece | Generated, None, None]:
        """The scheduler's steps for this request alone."""
        return answer(self.engine, request)

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        """Restored, saved or computed in sequence 0; "off" without a folder."""
        return ready_prefix(self.engine, block, self._prefixes, cancel)


def desk_of(engine: Engine | Desk) -> Desk:
    """The desk itself, or one for a bare engine."""
    return engine if isinstance(engine, Desk) else EngineDesk(engine)
