"""The conversation as lines, for programs: a request a line in, an event a line out, as JSON (`chat --json`).

Requests are the user's words, empty lines are skipped. Events: `text`, `tool_call`, `tool_result` (with `"ok": false`
when the call failed or was not allowed), `done` with timings, `error` with message and hint; after an error the loop
goes on. Output is ASCII, one object a line, flushed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from typing import TextIO

from coalm_lite.cli.turn import turn
from coalm_lite.cli.wording import result_value
from coalm_lite.errors import CoalmError, UsageError
from coalm_lite.session import Session
from coalm_lite.types import (
    CallStarted,
    Event,
    JsonObject,
    Observation,
    StopReason,
    TextDelta,
    ToolCall,
    Trimmed,
    TurnDone,
)


def answer_lines(session: Session, requests: Iterable[str], output: TextIO) -> None:
    """Answer each line of `requests`."""
    writer = EventWriter(output)
    for line in requests:
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        try:
            with closing(turn(session, checked_text(text))) as events:
                writer.turn(events)
        except CoalmError as error:
            writer.error(error.message, error.hint)
        except KeyboardInterrupt:  # a tool was left; whether to go on is for the program that asks
            writer.error("interrupted while a tool ran")


def checked_text(text: str) -> str:
    """`text`; UsageError when it came from bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the request has a byte that is no UTF-8 at character {error.start}", "Send UTF-8."
        ) from error
    return text


def utf8(source: TextIO) -> TextIO:
    """`source`, read as UTF-8 whatever the locale; a byte that is none comes as `checked_text` refuses it."""
    if isinstance(source, io.TextIOWrapper):
        source.reconfigure(encoding="utf-8", errors="surrogateescape")
    return source


class EventWriter:
    """Writes events as JSON objects, one a line, each at once."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._started: ToolCall | None = None

    def turn(self, events: Iterable[Event]) -> StopReason:
        """Write a turn's events as they come; returns why it ended."""
        reason: StopReason = "stop"
        for event in events:
            self._write_event(event)
            if isinstance(event, TurnDone):
                reason = event.reason
        return reason

    def error(self, message: str, hint: str = "") -> None:
        """Write an error."""
        self._write({"type": "error", "message": message, "hint": hint})

    def _write_event(self, event: Event) -> None:
        """Each result stands after its call, also that of a call which was never started."""
        match event:
            case TextDelta(text):
                self._write({"type": "text", "text": text})
            case CallStarted(call):
                self._started = call
                self._write_call(call)
            case Observation(call):
                if call is not self._started:
                    self._write_call(call)
                self._write_result(event)
            case Trimmed(messages):
                self._write({"type": "trimmed", "messages": messages})
            case TurnDone(text, reason, timings):
                self._write({"type": "done", **asdict(timings), "reason": reason, "text": text})

    def _write_call(self, call: ToolCall) -> None:
        self._write({"type": "tool_call", "name": call.name, "arguments": call.arguments})

    def _write_result(self, observation: Observation) -> None:
        result: JsonObject = {"type": "tool_result", "name": observation.call.name, "result": result_value(observation)}
        self._write(result if observation.ok else {**result, "ok": False})

    def _write(self, event: JsonObject) -> None:
        self._output.write(json.dumps(event) + "\n")
        self._output.flush()
