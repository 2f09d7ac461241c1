"""The grammar of one schema's values: `compile_schema`."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Literal, NoReturn, cast

from coalm_lite.grammar import ir
from coalm_lite.grammar.check import check_against_metaschema, value_check
from coalm_lite.grammar.compiled import Grammar
from coalm_lite.grammar.gbnf_reader import read_file
from coalm_lite.grammar.plain import as_text
from coalm_lite.grammar.schema import Compiler
from coalm_lite.grammar.strings import StringRules
from coalm_lite.grammar.syntax import SYNTAXES
from coalm_lite.types import JsonObject, JsonValue

_REMEMBERED = 64


def compile_schema(
    schema: JsonObject | bool, name: str = "schema", syntax: Literal["json", "python"] = "json"
) -> Grammar:
    """The grammar of the schema's values, written as JSON or as Python literals, as the dialects write them.

    SchemaError, naming `name`, JSON pointer and keyword, for what neither rules nor check can hold, and for a schema
    that allows nothing. The same schema gives the same object.
    """
    document: JsonObject = schema if isinstance(schema, dict) else ({} if schema else {"not": {}})
    return _compiled(as_text(name, document), name, syntax)


@lru_cache(maxsize=_REMEMBERED)
def _compiled(written: str, name: str, syntax: Literal["json", "python"]) -> Grammar:
    schema: JsonObject = json.loads(written)
    rules: dict[str, ir.Expression] = {**_values(syntax), **_values("values")}
    compiler = Compiler(schema, name, SYNTAXES[syntax], StringRules(SYNTAXES[syntax], rules), rules)
    compiler.add_value("root")
    held = tuple(compiler.document.held.values())
    if any(one.how == "check" for one in held):
        check_against_metaschema(name, schema)
    return Grammar(rules, held, _text_check(schema, READERS[syntax]), name)


@cache
def _values(name: str) -> Mapping[str, ir.Expression]:
    return read_file(name)


def _text_check(schema: JsonObject, read: Callable[[str], JsonValue]) -> Callable[[str], bool]:
    fits = value_check(schema)

    def check(text: str) -> bool:
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return False
        return fits(value)

    return check


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _read_json(text: str) -> JsonValue:
    return cast(JsonValue, json.loads(text, parse_constant=_refuse_constant))


def _read_python(text: str) -> JsonValue:
    return cast(JsonValue, ast.literal_eval(text))


READERS: dict[str, Callable[[str], JsonValue]] = {"json": _read_json, "python": _read_python}
