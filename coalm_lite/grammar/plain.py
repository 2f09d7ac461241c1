"""Plain JSON, asserted: finite, encodable, of bounded depth; and its text, by which grammars are remembered."""

from __future__ import annotations

import json

from coalm_lite.errors import SchemaError
from coalm_lite.types import JsonValue

_MAX_DEPTH = 100


def as_text(name: str, schema: JsonValue) -> str:
    """The schema as JSON; SchemaError, naming the tool, if it is not plain JSON."""
    try:
        name.encode()
        written = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(name, "", "parameters", f"not plain JSON: {error}", "Use finite JSON values.") from error
    if _depth(schema) > _MAX_DEPTH:
        problem = f"nested deeper than {_MAX_DEPTH} levels"
        raise SchemaError(name, "", "parameters", problem, "Flatten the schema.")
    return written


def _depth(value: JsonValue) -> int:
    """The levels of lists and objects around the innermost value."""
    level, depth = [value], -1
    while level:
        depth += 1
        inner: list[JsonValue] = []
        for node in level:
            inner.extend(node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ())
        level = inner
    return depth
