"""Sixty items written for this project, so that `eval` runs offline the moment the package is installed.

    items.jsonl      one item a line: kind, dialect, tools by name ("demo": the demo town's), messages, the calls that
                     must be written, each argument with its acceptable values ("" among them: may be left out); where
                     no call is right, `calls` is empty, and `says` may name what the words must contain one of
    functions.json   the invented functions and domains, and five domains with the slot names of MultiWOZ

An item passes when exactly these calls are written, in any order; text is compared in lower case. Each item has its own
dialect, the form that is natural for it: the suite names none, and what `play` is told counts for nothing. Calls of the
demo town's tools are asked, never run. It shows whether a model answers as it was trained to; sixty items are too few
to see a small loss, and the score says nothing of CoALM's published ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from coalm_lite import demo, dialects
from coalm_lite.errors import OutputError, UsageError
from coalm_lite.evals.items import FAIL, PASS, Ask, Item, Metric, Outcome, Play, Unit
from coalm_lite.evals.smoke.matching import Wanted, problem_of
from coalm_lite.tools import Toolbox
from coalm_lite.tools.schema import spec_from_schema
from coalm_lite.types import JsonObject, Message, ToolCall, ToolSpec

AS_TRAINED = "as trained"  # stands where a suite names its dialect: each item has its own
KINDS = {
    "single": "one call", "choice": "one call among several functions", "parallel": "several calls",
    "abstain": "no call", "conversation": "a conversation's next step", "state": "dialogue state",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exercise:
    """What is asked, and what must be written."""

    dialect: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Smoke:
    """All sixty."""

    items: tuple[Item, ...]
    name: str = "smoke"
    dialects: tuple[str, ...] = (AS_TRAINED,)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The share that passes, of all and of each kind."""
        return (Metric("passed", "passed", headline=True), *(Metric(kind, title) for kind, title in KINDS.items()))

    def play(self, item: Item, dialect: str) -> Play:
        """Ask once, in the item's own dialect."""
        exercise: Exercise = item.content
        answer = yield Ask(exercise.dialect, exercise.messages, exercise.tools)
        problem = answer.error or _problem(answer.text, exercise)
        score = FAIL if problem else PASS
        return Outcome((Unit(item.id, item.stratum, {"passed": score, item.stratum: score}),), problem)


def open_suite(_folder: Path | None = None, part: str = "") -> Smoke:
    """The items that the package carries; there is no folder to read, and there are no parts."""
    if part:
        raise UsageError(f"the suite smoke has no part {part!r}", "Write smoke.")
    return Smoke(tuple(sorted(_items(), key=_beginning)))


def _problem(text: str, exercise: Exercise) -> str:
    try:
        reply = dialects.get(exercise.dialect).parse(text)
    except OutputError as error:
        return error.message
    return problem_of(reply, exercise.wanted)


def _beginning(item: Item) -> tuple[str, str, str]:
    """Items whose prompts begin alike come together."""
    exercise: Exercise = item.content
    return exercise.dialect, repr(exercise.tools), repr(exercise.messages)


def _items() -> Iterator[Item]:
    functions = _functions()
    for line in _shipped("items.jsonl").splitlines():
        # Any: the file is the package's own, and the tests hold its form
        entry: Any = json.loads(line)
        tools = tuple(tool for name in entry["tools"] for tool in (_town() if name == "demo" else (functions[name],)))
        wanted = Wanted(
            tuple((call["name"], call["arguments"]) for call in entry["calls"]), tuple(entry.get("says", ()))
        )
        exercise = Exercise(entry["dialect"], tuple(map(_message, entry["messages"])), tools, wanted)
        yield Item(entry["id"], entry["kind"], entry["id"], exercise)


def _message(entry: JsonObject) -> Message:
    said: Any = entry
    calls = tuple(ToolCall(call["name"], call["arguments"]) for call in said.get("calls", ()))
    return Message(said["role"], said.get("text", ""), calls)


def _functions() -> Mapping[str, ToolSpec]:
    listed: Any = json.loads(_shipped("functions.json"))
    return {function["name"]: spec_from_schema(function) for function in listed}


@cache
def _town() -> tuple[ToolSpec, ...]:
    return Toolbox(demo.tools()).specs


def _shipped(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
