"""Hammer, the single-request form: a JSON list of calls, `[]` when no tool fits.

Prompt: the instruction blocks, tools as a JSON list, the request between query markers. An output that begins with
neither `[` nor `{` is read as an answer in words, which ends a tool loop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from coalm_lite.dialects.base import block, instruct_prompt, one_line, system_text
from coalm_lite.dialects.json_calls import parse_objects, split_object
from coalm_lite.grammar import Grammar, compile_frame
from coalm_lite.types import JsonObject, JsonValue, Message, Prompt, ToolSpec

NAME = "hammer"

_TASK = (
    "You choose which of the available functions, if any, answer the user's request, and with which arguments. Several"
    " functions, or one several times, may be needed. If none fits, or something it requires was not said, choose none."
)
_FORMAT = (
    'Give only a JSON list of calls: [{"name": "function name", "arguments": {"argument name": "value"}}]. Give []'
    " when no function fits."
)
_SHORT_TASK = "Choose the calls."
_SHORT_FORMAT = "A JSON list."


def render(messages: Sequence[Message], tools: Sequence[ToolSpec], short: bool = False) -> Prompt:
    """The prompt that asks for the calls which answer the request."""
    return instruct_prompt(instruction(tools, short), query(messages), system_text(messages))


def instruction(tools: Sequence[ToolSpec], short: bool = False) -> str:
    """The three instruction blocks; tools as a JSON list of name, description and parameters."""
    listed = json.dumps([_described(tool, short) for tool in tools], ensure_ascii=False)
    blocks = (
        block("TASK INSTRUCTION", _SHORT_TASK if short else _TASK),
        block("AVAILABLE TOOLS", listed),
        block("FORMAT INSTRUCTION", _SHORT_FORMAT if short else _FORMAT),
    )
    return "\n\n".join(blocks)


def _described(tool: ToolSpec, short: bool) -> JsonObject:
    properties = tool.parameters.get("properties")
    described = {} if not isinstance(properties, dict) else dict(properties)
    if short:
        names: list[JsonValue] = list(described)
        return {"name": tool.name, "description": tool.description, "parameters": names}
    required = tool.parameters.get("required", [])
    parameters: JsonObject = {"properties": described, "required": required}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def query(messages: Sequence[Message]) -> str:
    """The request between query markers; a longer conversation as `User:`, `System:` and `Observation:` lines."""
    said = [message for message in messages if message.role != "system"]
    if len(said) == 1:
        return block("QUERY", said[0].text)
    return block("QUERY", "\n".join(_entry(message) for message in said))


def _entry(message: Message) -> str:
    labels = {"user": "User: ", "assistant": "System: ", "tool": "Observation: "}
    words = render_reply(message) if message.role == "assistant" else message.text
    return labels[message.role] + one_line(words)


def render_reply(reply: Message) -> str:
    """The list of calls, or the words of a reply that has words and no call."""
    if reply.text and not reply.calls:
        return reply.text
    return json.dumps([{"name": call.name, "arguments": call.arguments} for call in reply.calls], ensure_ascii=False)


def parse(text: str) -> Message:
    """The calls in `text`; a text that begins with neither `[` nor `{` is an answer in words."""
    if text.strip() and text.lstrip()[0] not in "[{":
        return Message("assistant", text)
    objects = parse_objects(text)
    return Message("assistant", calls=tuple(split_object(entry, "name", "arguments") for entry in objects))


def visible_text(partial: str) -> str:
    """The words of an answer that is no list of calls."""
    return partial if partial.strip() and partial.lstrip()[0] not in "[{" else ""


def grammar(tools: Sequence[ToolSpec]) -> str:
    """GBNF: a list of calls of these tools, `[]` always possible."""
    return compiled(tools).gbnf


def compiled(tools: Sequence[ToolSpec]) -> Grammar:
    """The same as an object that also knows what text is forced, and which keyword is held how."""
    return compile_frame(NAME, tools, parse)
