"""OpenAI's messages as ours: calls and their results tied together by id, whatever is out of order refused by place.

System and developer messages may stand anywhere; every dialect tells them at the prompt's beginning. Results may come
in any order behind their calls, as long as all are there before anybody speaks again. A conversation ends with what the
model is to answer: the user's words or a call's results. An assistant that spoke and called in one message did one
after the other. A result that is JSON is spaced as models were trained to read it, whatever its writer's habit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from pydantic_core import from_json

from coalm_lite.app.server.chat_request import (
    AssistantCall,
    AssistantMessage,
    ChatMessage,
    Content,
    ToolMessage,
    UserMessage,
)
from coalm_lite.app.server.refusal import Refusal
from coalm_lite.errors import ToolError
from coalm_lite.tools import valid_name
from coalm_lite.types import Message, ToolCall

_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[,:]|\s+|[^",:\s]+', re.DOTALL)
_SPACED = {",": ", ", ":": ": "}


def read_messages(given: Sequence[ChatMessage]) -> list[Message]:
    """The conversation; Refusal 400 naming the first message that does not fit."""
    messages: list[Message] = []
    open_calls: dict[str, str | None] = {}  # by id, what came of a call
    for at, message in enumerate(given):
        if isinstance(message, ToolMessage):
            _take_result(message, open_calls, f"messages[{at}]")
            if None not in open_calls.values():
                messages += [Message("tool", text or "") for text in open_calls.values()]
                open_calls = {}
            continue
        _refuse_open(open_calls, f"messages[{at}]")
        if isinstance(message, AssistantMessage):
            messages += _assistant(message, f"messages[{at}]")
            open_calls = {call.id: None for call in message.tool_calls or ()}
        else:
            role = "user" if isinstance(message, UserMessage) else "system"
            messages.append(Message("user" if role == "user" else "system", _text(message.content)))
    _refuse_open(open_calls, f"messages[{len(given) - 1}]")
    _check_end(given, messages)
    return messages


def _check_end(given: Sequence[ChatMessage], messages: Sequence[Message]) -> None:
    said = [message.role for message in messages if message.role != "system"]
    if not said:
        raise _refused("messages", "there is no user message, so nothing to answer")
    if said[-1] == "assistant":
        last = max(at for at, message in enumerate(given) if isinstance(message, AssistantMessage))
        raise _refused(f"messages[{last}]", "nothing comes after what the assistant said, so nothing is to be answered")


def _take_result(message: ToolMessage, open_calls: dict[str, str | None], place: str) -> None:
    found = open_calls.get(message.tool_call_id, "")
    if message.tool_call_id not in open_calls:
        known = ", ".join(open_calls) or "none"
        problem = f"{message.tool_call_id!r} is no call that waits for its result; those that do: {known}"
        raise _refused(f"{place}.tool_call_id", problem)
    if found is not None:
        raise _refused(f"{place}.tool_call_id", f"{message.tool_call_id!r} has its result already")
    open_calls[message.tool_call_id] = spaced(_text(message.content))


def _refuse_open(open_calls: dict[str, str | None], place: str) -> None:
    missing = [call for call, result in open_calls.items() if result is None]
    if missing:
        raise _refused(
            place, f"the results of {', '.join(missing)} are missing: a tool message for each call comes first"
        )


def _assistant(message: AssistantMessage, place: str) -> Iterator[Message]:
    text = _text(message.content) if message.content is not None else ""
    calls = message.tool_calls or []
    if text or not calls:
        yield Message("assistant", text)
    ids = [call.id for call in calls]
    for at, call in enumerate(calls):
        if call.id in ids[:at]:
            raise _refused(f"{place}.tool_calls[{at}].id", f"{call.id!r} is the id of two calls")
    if calls:
        yield Message(
            "assistant", calls=tuple(_call(call, f"{place}.tool_calls[{at}]") for at, call in enumerate(calls))
        )


def _call(call: AssistantCall, place: str) -> ToolCall:
    try:
        name = valid_name(call.function.name)
    except ToolError as error:
        raise _refused(f"{place}.function.name", error.message) from error
    try:
        arguments = from_json(call.function.arguments or "{}", allow_inf_nan=False)
    except ValueError as error:
        raise _refused(f"{place}.function.arguments", f"this is no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise _refused(f"{place}.function.arguments", f"a JSON object is due, not {json.dumps(arguments)[:60]}")
    return ToolCall(name, arguments)


def spaced(text: str) -> str:
    """JSON with one space after each comma and colon and no other; what is no JSON object or list stays as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        from_json(text)
    except ValueError:
        return text
    parts = _JSON_PART.findall(text)
    return "".join(_SPACED.get(part, part) for part in parts if not part.isspace())


def _text(content: Content) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _refused(place: str, problem: str) -> Refusal:
    return Refusal(400, f"{place}: {problem}", place, "invalid_value")
