"""CRA, the conversation form: ReAct over API calls, one step a time.

Prompt: the instruction blocks, tools as numbered signatures, then the history as `User:`, `Thought:`, `Action:`,
`Observation:` and `System:` lines. Output: an optional `Thought:` line, then `Action: name(key=value)` (one line a
call) or `System: answer`. History entries are one line each, as trained.
"""

from __future__ import annotations

from collections.abc import Sequence

from coalm_lite.dialects.base import block, instruct_prompt, one_line, system_text
from coalm_lite.dialects.python_calls import parse_call, render_call
from coalm_lite.errors import MalformedOutputError, TruncatedOutputError
from coalm_lite.grammar import Grammar, compile_frame
from coalm_lite.types import Message, Prompt, ToolSpec

NAME = "cra"

_TASK = (
    "You hold a conversation in which you can look things up and act through the API functions listed below. Read the"
    " conversation so far and decide on the next step: call a function when everything it needs has been said,"
    " otherwise answer the user or ask for what is missing. Use only what the user said and what observations show."
)
_FORMAT = (
    "Write exactly one step. To call a function: Action: name(argument='value'). To speak to the user:"
    " System: your words."
)
_SHORT_TASK = "Call a function or answer."
_SHORT_FORMAT = "Action: or System:"
_THOUGHT, _ACTION, _SYSTEM = "Thought: ", "Action: ", "System: "


def render(messages: Sequence[Message], tools: Sequence[ToolSpec], short: bool = False) -> Prompt:
    """The prompt that asks for the conversation's next step."""
    return instruct_prompt(instruction(tools, short), history(messages), system_text(messages))


def instruction(tools: Sequence[ToolSpec], short: bool = False) -> str:
    """The three instruction blocks: task, tools as numbered signatures, format."""
    blocks = (
        block("TASK INSTRUCTION", _SHORT_TASK if short else _TASK),
        block("AVAILABLE TOOLS", "\n".join(f"{n}. {signature(tool)}" for n, tool in enumerate(tools, 1))),
        block("FORMAT INSTRUCTION", _SHORT_FORMAT if short else _FORMAT),
    )
    return "\n\n".join(blocks)


def signature(tool: ToolSpec) -> str:
    """`name(first, second)`: a tool as the model sees it."""
    properties = tool.parameters.get("properties")
    return f"{tool.name}({', '.join(properties) if isinstance(properties, dict) else ''})"


def history(messages: Sequence[Message]) -> str:
    """The conversation's entries, one line each, between the history markers."""
    return block("CONVERSATION HISTORY", "\n".join(line for message in messages for line in _entry(message)))


def _entry(message: Message) -> list[str]:
    match message.role:
        case "user":
            return ["User: " + one_line(message.text)]
        case "tool":
            return ["Observation: " + one_line(message.text)]
        case "assistant":
            return render_reply(Message("assistant", one_line(message.text), message.calls, message.thought)).split(
                "\n"
            )
        case _:
            return []


def render_reply(reply: Message) -> str:
    """`Thought:` if there is one, then the `Action:` lines or the `System:` answer."""
    thought = [_THOUGHT + one_line(reply.thought)] if reply.thought else []
    said = [_ACTION + render_call(call) for call in reply.calls] if reply.calls else [_SYSTEM + reply.text]
    return "\n".join(thought + said)


def parse(text: str) -> Message:
    """The step in `text`, which must begin with one of the three labels."""
    rest = text.lstrip()
    thought = ""
    if rest.startswith(_THOUGHT):
        line, _, rest = rest.partition("\n")
        thought = line.removeprefix(_THOUGHT)
    if rest.startswith(_SYSTEM.rstrip()):
        return Message("assistant", rest.removeprefix(_SYSTEM.rstrip()).removeprefix(" "), thought=thought)
    if rest.startswith(_ACTION):
        return Message("assistant", calls=tuple(parse_call(line) for line in _action_lines(rest)), thought=thought)
    if any(label.startswith(rest) for label in (_THOUGHT, _ACTION, _SYSTEM)):
        raise TruncatedOutputError(f"the step ends before its label is complete: {text!r}")
    raise MalformedOutputError(f"a step begins with Thought:, Action: or System:, not {rest[:40]!r}")


def _action_lines(text: str) -> list[str]:
    lines = text.rstrip().split("\n")
    for line in lines:
        if not line.startswith(_ACTION):
            problem = f"after an action comes another action or nothing, not {line[:40]!r}"
            unfinished = line is lines[-1] and _ACTION.startswith(line)
            raise TruncatedOutputError(problem) if unfinished else MalformedOutputError(problem)
    return [line.removeprefix(_ACTION) for line in lines]


def visible_text(partial: str) -> str:
    """The answer's words so far; nothing of a thought or an action."""
    rest = partial.lstrip()
    if rest.startswith(_THOUGHT):
        rest = rest.partition("\n")[2]
    return rest.removeprefix(_SYSTEM) if rest.startswith(_SYSTEM) else ""


def grammar(tools: Sequence[ToolSpec]) -> str:
    """GBNF: one optional thought, then actions for these tools or free text for the user."""
    return compiled(tools).gbnf


def compiled(tools: Sequence[ToolSpec]) -> Grammar:
    """The same as an object that also knows what text is forced, and which keyword is held how."""
    return compile_frame(NAME, tools, parse)
