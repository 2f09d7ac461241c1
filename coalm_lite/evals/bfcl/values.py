"""Whether one argument's value is what BFCL allows: its type as declared, then the value.

Types: a value has the declared type, or the type that the allowed values have (BFCL then takes it for a variable's
name). Text is compared without blanks and without `, . / - _ * ^`, in lower case, single quotes as double ones. The
values of Java and JavaScript functions are source text, which is read first as the declared type says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from coalm_lite.evals.bfcl.java_text import JAVA_TYPES, read_java
from coalm_lite.evals.bfcl.javascript_text import JAVASCRIPT_TYPES, read_javascript
from coalm_lite.tools.foreign_types import Language
from coalm_lite.types import JsonValue

Allowed: TypeAlias = "Sequence[JsonValue]"

_PYTHON_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
_TYPES: Mapping[Language, Mapping[str, type]] = {
    "python": _PYTHON_TYPES,
    "java": JAVA_TYPES,
    "javascript": JAVASCRIPT_TYPES,
}
# Only of these does BFCL look at what the items are declared as.
_LISTS: Mapping[Language, frozenset[str]] = {
    "python": frozenset({"array", "tuple"}),
    "java": frozenset({"Array", "ArrayList", "array"}),
    "javascript": frozenset({"Array", "ArrayList", "array"}),
}
_IGNORED = re.compile(r"[ ,./\-_*^]")


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter's declared type; `item` is the type of a list's items, "" where BFCL does not look at it."""

    name: str
    item: str
    language: Language

    @classmethod
    def read(cls, schema: JsonValue, language: Language) -> Declared:
        """The type that BFCL's description of a parameter declares."""
        described = schema if isinstance(schema, dict) else {}
        name, items = str(described.get("type", "")), described.get("items")
        has_items = name in _LISTS[language] and isinstance(items, dict)
        return cls(name, str(items.get("type", "")) if has_items and isinstance(items, dict) else "", language)

    @property
    def python(self) -> type | None:
        """The Python type of its values; None for a name that BFCL does not know."""
        return _TYPES[self.language].get(self.name)

    @property
    def python_item(self) -> type | None:
        """The Python type of a list's items, or None."""
        # Items of Java's and JavaScript's lists are named in their own types, but BFCL checks them by Python's names.
        return _TYPES[self.language].get(self.item) if self.item else None


def wrong_value(value: JsonValue, declared: Declared, allowed: Allowed) -> str:
    """What is wrong with the value, "" if it is allowed."""
    given = value
    if declared.language != "python":
        if not isinstance(value, str):
            return f"{value!r} is no source text"
        read = read_java if declared.language == "java" else read_javascript
        try:
            given = read(value, declared.name, declared.item)
        except ValueError as error:  # a type that BFCL does not read, a number of thousands of digits
            return f"{value[:80]!r} cannot be read: {error}"
    elif declared.name == "float" and type(value) is int:
        given = float(value)
    problem, is_variable = _wrong_type(given, declared.python, declared.python_item, allowed)
    if problem:
        return problem
    return "" if _is_allowed(given, declared, allowed, is_variable) else f"{given!r} is none of {list(allowed)!r}"


def _wrong_type(value: JsonValue, due: type | None, item: type | None, allowed: Allowed) -> tuple[str, bool]:
    """What is wrong with the value's type, and whether the allowed values have another type than declared."""
    given_type = next((type(each) for each in allowed if each != ""), None)
    has_other = given_type is not None and given_type is not due
    if type(value) is due:
        if item is None or not isinstance(value, list) or _items_fit(value, item, allowed):
            return "", has_other
        return f"{value!r} has an item that is no {item.__name__}", has_other
    if type(value) is given_type:
        return "", True
    return f"{value!r} is no {due.__name__ if due else 'known type'}", has_other


def _items_fit(value: list[JsonValue], item: type, allowed: Allowed) -> bool:
    """Whether, for one of the allowed lists, every item has the type of items or that of the list's first entry."""
    lists = [each for each in allowed if isinstance(each, list)]
    return any(all(not _wrong_type(each, item, None, one)[0] for each in value) for one in lists)


def _is_allowed(value: JsonValue, declared: Declared, allowed: Allowed, is_variable: bool) -> bool:
    if not is_variable:
        if declared.python is dict and isinstance(value, dict):
            return _is_allowed_object(value, allowed)
        if declared.python is list and isinstance(value, list) and declared.python_item is dict:
            return _is_allowed_objects(value, allowed)
        if declared.python is str and isinstance(value, str):
            return _plain(value) in [_plain(each) for each in allowed]
        if declared.python is list and isinstance(value, list):
            return _plain_items(value) in [_plain_items(each) for each in allowed]
    return value in allowed


def _plain(value: JsonValue) -> JsonValue:
    """Text as it is compared; anything else as it is."""
    return _IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value


def _plain_items(value: JsonValue) -> JsonValue:
    """A list with its texts as they are compared; of a text its characters, as BFCL goes through either."""
    return [_plain(each) for each in value] if isinstance(value, (list, str)) else value


def _is_allowed_objects(value: list[JsonValue], allowed: Allowed) -> bool:
    """Whether the objects are those of one allowed list, in its order; "" stands for a list without any."""
    for one in allowed:
        if isinstance(one, list) and len(one) == len(value):
            pairs = zip(value, one, strict=True)
            if all(isinstance(each, dict) and _is_allowed_object(each, [options]) for each, options in pairs):
                return True
    return not value and "" in allowed


def _is_allowed_object(value: Mapping[str, JsonValue], allowed: Allowed) -> bool:
    return any(_has_members(value, options) for options in allowed if isinstance(options, dict))


def _has_members(value: Mapping[str, JsonValue], options: Mapping[str, JsonValue]) -> bool:
    """Whether each member is among its options, and each option that is not given may be left out.

    Options should be a list. Where the data has a text instead, BFCL takes its characters, and lets it be left out.
    """
    choices = {name: list(each) if isinstance(each, (list, str)) else [] for name, each in options.items()}
    if not all(_plain(member) in map(_plain, choices.get(name, [])) for name, member in value.items()):
        return False
    return all(name in value or isinstance(options[name], str) or "" in choices[name] for name in options)
