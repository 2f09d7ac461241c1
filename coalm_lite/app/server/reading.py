"""A request's body, as bytes, to a `ChatRequest`; whatever is wrong is a Refusal that names the place."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from coalm_lite.app.server.chat_request import REASONS, ChatRequest
from coalm_lite.app.server.refusal import Refusal
from coalm_lite.tools.schema import shown

# What pydantic adds to a place: an option of a union that it tried, and the tag by which it chose one.
_OPTIONS = ("list[", "literal[", "constrained-", "function-", "nullable")


def read_chat_request(body: bytes) -> ChatRequest:
    """The request; Refusal 400 for what is no JSON, no object, or not of its form."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise Refusal(400, f"the body is a JSON object, not {shown(value)}", code="invalid_json")
    try:
        return ChatRequest.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise _refusal(max(details, key=lambda each: len(each["loc"]))) from error


def _refusal(detail: ErrorDetails) -> Refusal:
    place = place_of(_in_body(detail["loc"]))
    name = place.rpartition(".")[2]
    if detail["type"] == "missing":
        return Refusal(400, f"{place}: it is missing", place, "missing_required_parameter")
    found = shown(detail["input"])
    problem = REASONS.get(name, detail["msg"][:1].lower() + detail["msg"][1:])
    code = "unsupported_parameter" if name in REASONS else "invalid_value"
    return Refusal(400, f"{place}: {problem}; got {found}", place, code)


def _in_body(place: Sequence[int | str]) -> list[int | str]:
    """What of pydantic's place is one in the body."""
    parts = list(place)
    if parts[:1] == ["messages"]:
        del parts[2:3]  # the role
    elif parts[:1] == ["response_format"]:
        del parts[1:2]  # the type
    return [part for part in parts if isinstance(part, int) or not _is_option(part)]


def _is_option(part: str) -> bool:
    return part == "str" or part[:1].isupper() or part.startswith(_OPTIONS)


def place_of(parts: Sequence[int | str]) -> str:
    """`messages[1].content[0].type`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
