"""BFCL's prompt mode: calls as a Python list, `[f(a=1), g(b='x')]`, or words when no function applies.

The system message carries the functions as JSON, the user message the request; Llama 3 headers without a date. The
instruction sentences here are this project's own; an evaluation that wants BFCL's own system prompt passes it as the
conversation's system message, which then replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from coalm_lite.dialects.base import BEGIN_OF_TEXT, END_OF_TURN, header, system_text
from coalm_lite.dialects.python_calls import parse_calls, render_call
from coalm_lite.grammar import Grammar, compile_frame
from coalm_lite.types import Message, Prompt, Segment, ToolSpec

NAME = "bfcl"

_TASK = (
    "You answer with function calls. From the functions below choose those that the request needs and fill in their"
    " arguments from what was said. If none applies or a required argument was not given, say so in words instead."
    "\nWrite calls in this form and nothing else: [first_function(name='value', count=2), second_function(name='x')]"
    "\nThe functions, as JSON:\n"
)
_SHORT_TASK = "Call functions: [f(a=1)]\n"


def render(messages: Sequence[Message], tools: Sequence[ToolSpec], short: bool = False) -> Prompt:
    """The prompt that asks for the next assistant message; every message keeps a turn of its own."""
    system = system_text(messages) or instruction(tools, short)
    prompt: Prompt = (Segment(BEGIN_OF_TEXT, marker=True), *_turn("system", system))
    for message in messages:
        if message.role != "system":
            prompt += _turn(_role(message), _words(message))
    return prompt + header("assistant")


def instruction(tools: Sequence[ToolSpec], short: bool = False) -> str:
    """The task and the functions as a JSON list."""
    listed = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools]
    return (_SHORT_TASK if short else _TASK) + json.dumps(listed, ensure_ascii=False)


def _turn(role: str, text: str) -> Prompt:
    return (*header(role), Segment(text), Segment(END_OF_TURN, marker=True))


def _role(message: Message) -> str:
    # The ipython role is Llama's; CoALM never saw it, so a result is told as the user's words.
    return "user" if message.role == "tool" else message.role


def _words(message: Message) -> str:
    return render_reply(message) if message.role == "assistant" else message.text


def render_reply(reply: Message) -> str:
    """The list of calls, or the words of a reply that has words and no call."""
    if reply.text and not reply.calls:
        return reply.text
    return f"[{', '.join(render_call(call) for call in reply.calls)}]"


def parse(text: str) -> Message:
    """The calls in `text`; a text that does not begin with `[` is an answer in words."""
    if text.strip() and not text.lstrip().startswith("["):
        return Message("assistant", text)
    return Message("assistant", calls=parse_calls(text))


def visible_text(partial: str) -> str:
    """The words of an answer that is no list of calls."""
    return "" if partial.lstrip().startswith("[") else partial


def grammar(tools: Sequence[ToolSpec]) -> str:
    """GBNF: a list of calls of these tools, or words that do not begin with `[`."""
    return compiled(tools).gbnf


def compiled(tools: Sequence[ToolSpec]) -> Grammar:
    """The same as an object that also knows what text is forced, and which keyword is held how."""
    return compile_frame(NAME, tools, parse)
