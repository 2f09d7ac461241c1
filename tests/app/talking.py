"""Assistants on scripted models, one that writes only as fast as a test lets it, and waiting for what comes true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from coalm_lite.app.assistant import Assistant
from coalm_lite.app.shared import SharedDesk
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.scripted import ScriptedEngine

SOON_S = 30.0  # only what hangs takes longer


class PacedEngine(ScriptedEngine):
    """A scripted engine that waits for leave before each token after a reply's first; `written` counts them."""

    def __init__(self, replies: Sequence[str], context_tokens: int = 16384) -> None:
        super().__init__(replies, context_tokens)
        self.leave = threading.Semaphore(0)
        self.written = 0

    def extend(self, tokens: Sequence[int], cancel: Cancel) -> None:
        while not self.leave.acquire(timeout=0.01):
            cancel.check()
        super().extend(tokens, cancel)
        self.written += len(tokens)


@contextmanager
def scripted(*replies: str, engine: ScriptedEngine | None = None, **options: object) -> Iterator[Assistant]:
    """An assistant whose model says `replies`, in order."""
    script = engine or ScriptedEngine(replies, context_tokens=16384)
    with SharedDesk(script) as desk, Assistant(desk, **options) as assistant:  # type: ignore[arg-type]
        yield assistant


def until(condition: Callable[[], bool]) -> bool:
    """Whether it came true."""
    end = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


def turn_threads() -> list[str]:
    """The threads that answer turns just now."""
    return [thread.name for thread in threading.enumerate() if thread.name == "coalm-lite turns"]
