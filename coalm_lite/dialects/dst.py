"""DST, dialogue state tracking: which slots the last user turn filled.

Prompt: the domains with their slots, then the dialogue as `System:` and `User:` lines. Output: a JSON list of
`{"domain": ..., "slot_values": {...}}`, `[]` when nothing changed; a single object (SNIPS) is read too. A domain is a
tool and its slots are the parameters, so a state update is a call.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from coalm_lite.dialects.base import instruct_prompt, one_line, system_text
from coalm_lite.dialects.json_calls import parse_objects, split_object
from coalm_lite.grammar import Grammar, compile_frame
from coalm_lite.types import Message, Prompt, ToolSpec

NAME = "dst"

_TASK = (
    "Track the state of the dialogue. For the last user turn, give a JSON list with one object for every domain that it"
    ' changes: {"domain": name, "slot_values": {slot: value}}; give [] when it changes nothing. The domains and their'
    " slots:"
)
_SHORT_TASK = "Track the state."
_ONLY = "Do not capture any other slots."


def render(messages: Sequence[Message], tools: Sequence[ToolSpec], short: bool = False) -> Prompt:
    """The prompt that asks what the last user turn changed."""
    return instruct_prompt(instruction(tools, short), history(messages), system_text(messages))


def instruction(tools: Sequence[ToolSpec], short: bool = False) -> str:
    """The task and, a line each, the domains with their slots."""
    return "\n".join([_SHORT_TASK if short else _TASK, *(_domain(tool) for tool in tools), _ONLY])


def _domain(tool: ToolSpec) -> str:
    properties = tool.parameters.get("properties")
    return f"{tool.name}: {', '.join(properties) if isinstance(properties, dict) else ''}"


def history(messages: Sequence[Message]) -> str:
    """The dialogue, one line a turn."""
    speakers = {"user": "User: ", "assistant": "System: "}
    return "\n".join(speakers[m.role] + one_line(m.text) for m in messages if m.role in speakers and m.text)


def render_reply(reply: Message) -> str:
    """The list of state updates; text cannot be said in this form."""
    updates = [{"domain": call.name, "slot_values": call.arguments} for call in reply.calls]
    return json.dumps(updates, ensure_ascii=False)


def parse(text: str) -> Message:
    """The state updates in `text`, a list or a single object, optionally after `System: `."""
    objects = parse_objects(text.lstrip().removeprefix("System: "))
    return Message("assistant", calls=tuple(split_object(entry, "domain", "slot_values") for entry in objects))


def visible_text(partial: str) -> str:
    """Nothing: a state is not for the person's eyes."""
    return ""


def grammar(tools: Sequence[ToolSpec]) -> str:
    """GBNF: a list of updates of these domains, `[]` always possible."""
    return compiled(tools).gbnf


def compiled(tools: Sequence[ToolSpec]) -> Grammar:
    """The same as an object that also knows what text is forced, and which keyword is held how."""
    return compile_frame(NAME, tools, parse)
