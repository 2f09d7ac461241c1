"""Schema-Guided Dialogue as CRA conversations: the published service calls become actions.

Tools are the intents of the dialogue's services, in the published names; a result is cut to its first rows, those that
the answer speaks of. CC BY-SA 4.0, see nano/README.md.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from coalm_lite.types import JsonObject, JsonValue, Message, ToolCall, ToolSpec
from nano.examples import Example, conversation_example, tool

RESULT_ROWS = 2
RESULT_KEYS = 6
ANSWER_WEIGHT = 0.2
Record: TypeAlias = "dict[str, Any]"  # a published JSON record


def read_schemas(path: Path) -> dict[str, list[ToolSpec]]:
    """The tools of each service: its intents with their required and optional slots."""
    services = json.loads(path.read_text(encoding="utf-8"))
    return {service["service_name"]: [_tool(intent) for intent in service["intents"]] for service in services}


def _tool(intent: Record) -> ToolSpec:
    return tool(intent["name"], [*intent["required_slots"], *intent["optional_slots"]], intent["description"])


def read_dialogues(path: Path) -> Iterator[Record]:
    """The published dialogues, one at a time."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def conversation(dialogue: Record, schemas: Mapping[str, Sequence[ToolSpec]], rng: random.Random) -> Example:
    """The dialogue in CRA form over the tools of its services, in random order."""
    tools = {spec.name: spec for service in dialogue["services"] for spec in schemas[service]}
    listed = list(tools.values())
    rng.shuffle(listed)
    messages = [message for turn in dialogue["turns"] for message in _messages(turn, tools)]
    weights = [ANSWER_WEIGHT if message.role == "assistant" and not message.calls else 1.0 for message in messages]
    return conversation_example(listed, messages, weights)


def _messages(turn: Record, tools: Mapping[str, ToolSpec]) -> Iterator[Message]:
    if turn["speaker"] == "USER":
        yield Message("user", turn["utterance"])
        return
    for frame in turn["frames"]:
        if "service_call" in frame and frame["service_call"]["method"] in tools:
            yield Message("assistant", calls=(_call(frame["service_call"], tools),))
            yield Message("tool", _result(frame["service_results"], turn["utterance"]))
    yield Message("assistant", turn["utterance"])


def _call(published: Record, tools: Mapping[str, ToolSpec]) -> ToolCall:
    """The call with its arguments in the order of the tool's signature."""
    properties = tools[published["method"]].parameters["properties"]
    assert isinstance(properties, dict)
    given = published["parameters"]
    arguments: JsonObject = {key: _typed(given[key]) for key in properties if key in given}
    return ToolCall(published["method"], arguments)


def _typed(text: str) -> JsonValue:
    return {"True": True, "False": False}.get(text, int(text) if text.isdigit() and len(text) < 4 else text)


def _result(rows: Sequence[Mapping[str, str]], answer: str) -> str:
    """The first rows as JSON, what the answer mentions before the rest, values as the answer can copy them."""
    ranked = sorted(rows, key=lambda row: -sum(value in answer for value in row.values()))[:RESULT_ROWS]
    shown = []
    for row in ranked:
        keys = sorted(row, key=lambda key: row[key] not in answer)[:RESULT_KEYS]
        shown.append({key: row[key] for key in row if key in keys})
    return json.dumps({"count": len(rows), "results": shown}, ensure_ascii=False)
