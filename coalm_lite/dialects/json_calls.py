"""Calls written as JSON: read with a decoder, a cut-off text told apart from a wrong one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

from coalm_lite.errors import MalformedOutputError, OutputError, TruncatedOutputError
from coalm_lite.types import JsonObject, JsonValue, ToolCall

# An escape sequence that the end of the text cuts; an even run of backslashes before it is whole ones.
_CUT_ESCAPE = re.compile(r"((?:^|[^\\])(?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?$")


def parse_objects(text: str) -> list[JsonObject]:
    """The objects of a JSON list, or the single object that stands for a list of one."""
    value = _decode(text)
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if not isinstance(entry, dict):
            raise MalformedOutputError(f"expected a list of objects, found {json.dumps(entry)[:60]} in it")
    return [entry for entry in entries if isinstance(entry, dict)]


def split_object(entry: JsonObject, name_key: str, arguments_key: str) -> ToolCall:
    """The call in `entry`, which has these two keys and no other."""
    name, arguments = entry.get(name_key), entry.get(arguments_key)
    if set(entry) != {name_key, arguments_key} or not isinstance(name, str) or not isinstance(arguments, dict):
        expected = f'{{"{name_key}": string, "{arguments_key}": object}}'
        raise MalformedOutputError(f"expected {expected}, found {json.dumps(entry, ensure_ascii=False)[:120]}")
    return ToolCall(name, arguments)


def _decode(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise _cut_or_wrong(text, error) from None
    except RecursionError:
        raise MalformedOutputError("the output is nested too deeply to read") from None
    return value


def _refuse_constant(name: str) -> float:
    raise MalformedOutputError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse_constant(digits)


def _cut_or_wrong(text: str, error: json.JSONDecodeError) -> OutputError:
    if any(_is_json(text_so_far + tail) for text_so_far, closing in _open_ends(text) for tail in _tails(closing)):
        return TruncatedOutputError(f"the output ends in the middle of JSON: ...{text[-40:]!r}")
    return MalformedOutputError(f"no JSON: {error.msg} at character {error.pos} of {text[:120]!r}")


def _open_ends(text: str) -> Iterator[tuple[str, str]]:
    """`text` with an open string closed, and the brackets still to close; nothing where brackets do not match."""
    open_brackets: list[str] = []
    string_from = -1
    at = 0
    while at < len(text):
        mark = text[at]
        if string_from >= 0:
            if mark == "\\":
                at += 1
            elif mark == '"':
                string_from = -1
        elif mark == '"':
            string_from = at
        elif mark in "[{":
            open_brackets.append("]" if mark == "[" else "}")
        elif mark in "]}" and (not open_brackets or open_brackets.pop() != mark):
            return
        at += 1
    closing = "".join(reversed(open_brackets))
    yield (_CUT_ESCAPE.sub(r"\1", text) + '"' if string_from >= 0 else text), closing


def _tails(closing: str) -> Iterator[str]:
    """What may finish a value that was begun, then the brackets."""
    for begun in ("", "0", ":0", '"":0', "rue", "ue", "e", "alse", "lse", "se", "ull", "ll", "l"):
        yield begun + closing


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, MalformedOutputError):
        return False
    return True
