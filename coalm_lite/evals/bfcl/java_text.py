"""Java values written as source text, read as BFCL reads them.

Text that is not of its declared type's form stays text, and is then compared as a variable's name. Read are numbers,
`true` and `false`, and collections in these forms; BFCL cuts a collection at every comma, in quotes too, and so does
this: what counts is what BFCL decides. Items are read as the declared item type, or by their look where none is.

    new ArrayList<T>(Arrays.asList(1, 2))    new ArrayList<T>() {{ add(1); }}    new T[]{1, 2}
    new HashMap<K, V>() {{ put("a", 1); }}
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from coalm_lite.types import JsonValue

JAVA_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    **dict.fromkeys(("char", "String", "any"), str),
    **dict.fromkeys(("Array", "ArrayList", "Queue", "Stack"), list),
    **dict.fromkeys(("HashMap", "Hashtable"), dict),
    "boolean": bool,
    "Set": set,
}
_UNREAD = frozenset({"Set", "Queue", "Stack", "Hashtable"})
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"-?\d+$")
_LONG = re.compile(r"(-?\d+)[lL]$")
_DOUBLE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?$")
_FLOAT = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[fF]$")
_LIST_OF = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
_LIST_ADDED = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}", re.DOTALL)
_ADD = re.compile(r"add\((.+?)\)")
_EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{(.*?)\}")
_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}", re.DOTALL)
_PUT = re.compile(r'put\("(.*?)",\s*(.*?)\)')
_EMPTY_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")


def read_java(text: str, kind: str, item: str = "") -> JsonValue:
    """The value of a text declared as `kind`; ValueError for a type that BFCL cannot read."""
    if kind not in JAVA_TYPES or kind in _UNREAD:
        raise ValueError(f"BFCL reads no Java type {kind!r}")
    if kind in ("Array", "ArrayList", "HashMap"):
        return _collection(text, kind, item)
    return _simple(text, kind)


def _simple(text: str, kind: str) -> JsonValue:
    match JAVA_TYPES[kind].__name__, kind:
        case "int", "long":
            found = _LONG.match(text)
            return int(found[1]) if found else text
        case "int", _:
            return int(text) if _INTEGER.match(text) else text
        case _, "float":
            found = _FLOAT.match(text)
            return float(found[1]) if found else text
        case _, "double":
            return float(text) if _DOUBLE.match(text) else text
        case "bool", _:
            return _BOOLEANS.get(text, text)
    return text


def _collection(text: str, kind: str, item: str) -> JsonValue:
    if kind == "HashMap":
        return _map(text)
    if kind == "Array":
        found = _ARRAY.search(text)
        return _array_items(found[1], item) if found else text
    return _list(text, item)


def _list(text: str, item: str) -> JsonValue:
    if found := _LIST_OF.search(text):
        return [_list_item(each.strip(), item) for each in found[1].split(",")]
    if found := _LIST_ADDED.search(text):
        return [_list_item(each.strip(), item) for each in _ADD.findall(found[1])]
    return [] if _EMPTY_LIST.search(text) else text


def _list_item(text: str, item: str) -> JsonValue:
    return text[1:-1] if item in ("String", "char") else _item(text, item)


def _array_items(text: str, item: str) -> JsonValue:
    return [_item(each.strip(), item) for each in text.split(",") if each.strip()]


def _item(text: str, item: str) -> JsonValue:
    return read_java(text, item) if item else _by_look(text)


def _map(text: str) -> JsonValue:
    if found := _MAP.search(text):
        return {name: _by_look(value.strip()) for name, value in _PUT.findall(found[1])}
    return {} if _EMPTY_MAP.search(text) else text


def _by_look(text: str) -> JsonValue:
    """A value whose type is not declared."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text and text[0] == text[-1] == '"':
        return text[1:-1]
    if found := _LONG.match(text) or _FLOAT.match(text):
        return int(found[1]) if found.re is _LONG else float(found[1])
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
