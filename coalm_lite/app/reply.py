"""A turn in one piece: what `ask` returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from coalm_lite.types import Event, Observation, StopReason, Timings, TurnDone


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its text, the calls that were made on the way and what came of each, why it ended, what it cost.

    `calls` has also those that did not run, since they were wrong or not allowed: they are not `ok`.
    """

    text: str
    calls: tuple[Observation, ...]
    reason: StopReason
    timings: Timings = field(compare=False)


def reply_of(events: Iterable[Event]) -> Reply:
    """The reply that a turn's events make up."""
    calls: list[Observation] = []
    for event in events:
        if isinstance(event, Observation):
            calls.append(event)
        elif isinstance(event, TurnDone):
            return Reply(event.text, tuple(calls), event.reason, event.timings)
    raise AssertionError("a turn ends with TurnDone")
