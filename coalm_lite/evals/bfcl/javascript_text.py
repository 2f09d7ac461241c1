"""JavaScript values written as source text, read as BFCL reads them.

Text that is not of its declared type's form stays text, and is then compared as a variable's name. Read are numbers
(`12n` too), `true` and `false`, text in quotes, `[1, 2]` and `{a: 1}`. BFCL cuts a list at every comma, in quotes too,
and so does this: what counts is what BFCL decides. Items are read as declared, or by their look where nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from coalm_lite.types import JsonValue

JAVASCRIPT_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("String", "any"), str),
    **dict.fromkeys(("integer", "Bigint"), int),
    "float": float,
    "Boolean": bool,
    "dict": dict,
    "array": list,
}
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"-?\d+$")
_FLOAT = re.compile(r"-?\d+\.?\d+$|-?\d+$")
_BIG = re.compile(r"(-?\d+)n")
_LIST = re.compile(r"\[(.*?)\]")
_NEW_LIST = re.compile(r"new\s+Array\((.*?)\)")
_SEVERAL_LISTS = r"\s*(\[.*?\](?:\s*,\s*\[.*?\])*)\s*"
_LISTS = re.compile(rf"\[{_SEVERAL_LISTS}\]")
_NEW_LISTS = re.compile(rf"new\s+Array\({_SEVERAL_LISTS}\)")
_OBJECT = re.compile(r"\{(.*?)\}")
# A member ends at a comma which a key and its colon follow before the next comma.
_MEMBER = re.compile(r"([^:]+):(.*?)(?:,\s*(?=[^,]+:)|$)")
_QUOTES = "'\""


def read_javascript(text: str, kind: str, item: str = "") -> JsonValue:
    """The value of a text declared as `kind`; ValueError for a type that BFCL cannot read."""
    if kind not in JAVASCRIPT_TYPES:
        raise ValueError(f"BFCL reads no JavaScript type {kind!r}")
    if kind == "array":
        return _list(text.strip(), item)
    return _READERS[kind](text)


def _text(text: str) -> JsonValue:
    return text[1:-1] if text and text[0] == text[-1] and text[0] in _QUOTES else text


def _integer(text: str) -> JsonValue:
    return int(text) if _INTEGER.match(text) else text


def _float(text: str) -> JsonValue:
    return float(text) if _FLOAT.match(text) else text


def _big(text: str) -> JsonValue:
    found = _BIG.fullmatch(text)
    return int(found[1]) if found else text


def _list(text: str, item: str) -> JsonValue:
    if found := _LISTS.match(text) or _NEW_LISTS.match(text):
        return [_items(each, "") for each in _LIST.findall(found[1])]
    if found := _LIST.match(text) or _NEW_LIST.match(text):
        return _items(found[1], item) if found[1].strip() else []
    return text


def _items(text: str, item: str) -> list[JsonValue]:
    return [_item(each.strip(), item) for each in text.split(",")]


def _item(text: str, item: str) -> JsonValue:
    return read_javascript(text, item) if item else _by_look(text)


def _object(text: str) -> JsonValue:
    found = _OBJECT.match(text.strip())
    if not found:
        return text.strip()
    return {key.strip().strip(_QUOTES): _member(value.strip()) for key, value in _MEMBER.findall(found[1])}


def _member(text: str) -> JsonValue:
    """A member's value: BFCL takes its quotes away before it looks at it."""
    return _list(text, "") if text[:1] == "[" and text[-1:] == "]" else _by_look(text.strip(_QUOTES).strip())


def _by_look(text: str) -> JsonValue:
    """A value whose type is not declared."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text and text[0] == text[-1] and text[0] in _QUOTES:
        return text[1:-1]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


_READERS: Mapping[str, Callable[[str], JsonValue]] = {
    "String": _text,
    "integer": _integer,
    "float": _float,
    "Bigint": _big,
    "Boolean": lambda text: _BOOLEANS.get(text, text),
    "dict": _object,
    "any": lambda text: text,
}
