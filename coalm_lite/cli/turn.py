"""One turn of a session under Ctrl-C: the first stops the answer within a token, and the session goes on.

While a tool runs, Ctrl-C leaves it (KeyboardInterrupt), since a tool cannot be asked to stop.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

from coalm_lite.runtime.base import Cancel
from coalm_lite.session import Session
from coalm_lite.types import CallStarted, Event, ToolCall

SignalHandler: TypeAlias = "Callable[[int, FrameType | None], object]"


class _Interrupt:
    """What SIGINT does during a turn."""

    def __init__(self) -> None:
        self.cancel = Cancel()
        self.tool_runs = False

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """Stop the answer; leave a running tool, and whatever a first Ctrl-C did not stop."""
        if self.tool_runs or self.cancel.is_set:
            raise KeyboardInterrupt
        self.cancel.set()


def turn(session: Session, text: str) -> Generator[Event, None, None]:
    """The events of `session.send(text)`. After KeyboardInterrupt, as after an error, the finished steps stay."""
    interrupt = _Interrupt()
    events = session.send(text, interrupt.cancel)
    try:
        with _on_sigint(interrupt.take):
            for event in events:
                interrupt.tool_runs = isinstance(event, CallStarted)
                yield event
    finally:
        if isinstance(events, Generator):
            events.close()


@contextmanager
def question() -> Iterator[None]:
    """While the user is asked something in a turn, Ctrl-C is KeyboardInterrupt, so that the question ends."""
    with _on_sigint(signal.default_int_handler):
        yield


@contextmanager
def _on_sigint(handler: SignalHandler) -> Iterator[None]:
    """Handle SIGINT by `handler`; Python lets only the main thread do so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def deny(_call: ToolCall) -> bool:
    """False: an `approve` for where nobody can be asked."""
    return False
