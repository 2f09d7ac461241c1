"""The two ways in which dialects write values, and the quoting of text as a GBNF literal.

Both write one space after each comma and colon and none elsewhere. The rules of single values are data:
`grammars/json.gbnf`, `grammars/python.gbnf` and, shared by the two, `grammars/values.gbnf`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from coalm_lite.types import JsonValue


def _write_json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Syntax:
    """How values are written: `write` gives a value's canonical text, `name` the file of the value rules.

    With `keyword_arguments` a call's arguments are `a=1, b=2` after a bare tool name; else they are an object, and the
    tool's name is a string.
    """

    name: Literal["json", "python"]
    write: Callable[[JsonValue], str]
    keyword_arguments: bool


JSON = Syntax("json", _write_json, keyword_arguments=False)
PYTHON = Syntax("python", repr, keyword_arguments=True)
SYNTAXES = {"json": JSON, "python": PYTHON}


def quoted(text: str) -> str:
    """`text` as a GBNF literal."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08X}"
