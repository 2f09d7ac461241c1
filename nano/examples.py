"""What training sees: examples of steps, each a prompt that a dialect renders and the reply it should get.

The steps of one example share a growing history, so that packing computes each token once (nano/packing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coalm_lite.types import JsonObject, Message, ToolSpec


@dataclass(frozen=True, slots=True)
class Step:
    """The conversation so far, the reply to learn and its weight in the loss."""

    messages: tuple[Message, ...]
    reply: Message
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Example:
    """Steps over one conversation in one dialect with one list of tools."""

    dialect: str
    tools: tuple[ToolSpec, ...]
    steps: tuple[Step, ...]


def conversation_example(
    tools: Sequence[ToolSpec], messages: Sequence[Message], weights: Sequence[float] | None = None
) -> Example:
    """A CRA example that learns every assistant message of a conversation; `weights` has one entry a message."""
    steps = tuple(
        Step(tuple(messages[:index]), message, 1.0 if weights is None else weights[index])
        for index, message in enumerate(messages)
        if message.role == "assistant"
    )
    return Example("cra", tuple(tools), steps)


def tool(name: str, parameters: Sequence[str], description: str = "") -> ToolSpec:
    """A tool whose parameters are known by name only, which is all that training prompts show."""
    value: JsonObject = {"type": ["string", "integer", "boolean"]}
    properties: JsonObject = dict.fromkeys(parameters, value)
    return ToolSpec(name, description, {"type": "object", "properties": properties})
