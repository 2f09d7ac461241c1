"""Calls written as JSON: read with a decoder, a cut-off text told apart from a wrong one."""

from __future__ import annotations

import json
import math

from coalm_lite.errors import MalformedOutputError, OutputError, TruncatedOutputError
from coalm_lite.types import JsonObject, JsonValue, ToolCall


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
    # pydantic's decoder accepts exactly the prefixes of valid JSON when partial input is allowed.
    from pydantic_core import from_json

    try:
        from_json(text, allow_partial=True)
    except ValueError:
        return MalformedOutputError(f"no JSON: {error.msg} at character {error.pos} of {text[:120]!r}")
    return TruncatedOutputError(f"the output ends in the middle of JSON: ...{text[-40:]!r}")
