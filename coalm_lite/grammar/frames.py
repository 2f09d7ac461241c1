"""Each dialect's frame, filled for the tools at hand.

A frame is a file of `coalm_lite.grammars`, one rule a line. Its rule `call` is the hole, with the placeholders `<name>`
and `<arguments>`; `calls` is the only rule that uses it, and one rule chooses `calls | ` or something without a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files

from coalm_lite.errors import SchemaError, UsageError
from coalm_lite.grammar.schema import argument_rules
from coalm_lite.grammar.syntax import JSON, PYTHON, Syntax, quoted
from coalm_lite.types import JsonValue, ToolSpec

_SYNTAXES = {"bfcl": PYTHON, "cra": PYTHON, "dst": JSON, "hammer": JSON}
_CHOICE = "calls | "
_PLACEHOLDER = re.compile(r"<(name|arguments)>")
_NOT_IN_BARE_NAMES = frozenset("()[]{},'\"=:\\")
_MAX_DEPTH = 100
_CACHED_GRAMMARS = 64


def fill_frame(dialect: str, tools: Sequence[ToolSpec]) -> str:
    """GBNF, with the start rule `root`, of every output of `dialect` with valid calls of `tools` or with none.

    SchemaError for a tool that the grammar cannot hold, UsageError for an unknown dialect.
    """
    if dialect not in _SYNTAXES:
        raise UsageError(f"no grammar for dialect {dialect!r}", f"Use one of {', '.join(_SYNTAXES)}.")
    return _filled(dialect, tuple(_as_json(tool) for tool in tools))


def check_tools(tools: Sequence[ToolSpec], dialect: str) -> None:
    """Raises SchemaError for the first tool that the grammar of `dialect` cannot hold."""
    fill_frame(dialect, tools)


def _as_json(tool: ToolSpec) -> tuple[str, str]:
    """The tool's name and its parameters as JSON: hashable, finite, encodable, of bounded depth. Else SchemaError."""
    try:
        tool.name.encode()
        parameters = json.dumps(tool.parameters, ensure_ascii=False, allow_nan=False)
        parameters.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(tool.name, "", "parameters", f"not plain JSON: {error}", "Use finite JSON values.") from error
    if _depth(tool.parameters) > _MAX_DEPTH:
        problem = f"nested deeper than {_MAX_DEPTH} levels"
        raise SchemaError(tool.name, "", "parameters", problem, "Flatten the schema.")
    return tool.name, parameters


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


@lru_cache(maxsize=_CACHED_GRAMMARS)
def _filled(dialect: str, tools: tuple[tuple[str, str], ...]) -> str:
    frame, syntax = dict(_frame(dialect)), _SYNTAXES[dialect]
    hole = frame.pop("call")
    if tools:
        frame["call"] = " | ".join(f"call-{index}" for index in range(len(tools)))
        for index, (name, parameters) in enumerate(tools):
            _check_name(name, [earlier for earlier, _ in tools[:index]], syntax)
            frame |= _call_rules(hole, f"call-{index}", name, parameters, syntax)
        frame |= _frame(syntax.name) | _frame("values")
    else:
        del frame["calls"]
        frame = {rule: body.replace(_CHOICE, "") for rule, body in frame.items()}
    return "".join(f"{rule} ::= {body}\n" for rule, body in frame.items())


@cache
def _frame(name: str) -> dict[str, str]:
    """The bodies of the rules of `grammars/NAME.gbnf` by rule name, in the file's order."""
    return dict(_rules(files("coalm_lite.grammars").joinpath(f"{name}.gbnf").read_text(encoding="utf-8")))


def _rules(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, body = line.partition(" ::= ")
            yield name, body


def _check_name(name: str, earlier: Sequence[str], syntax: Syntax) -> None:
    if not name or name in earlier:
        problem = "two tools have this name" if name else "is empty"
        raise SchemaError(name, "", "name", problem, "Give each tool a name of its own.")
    if syntax.keyword_arguments and (
        not name.isprintable() or name != name.strip() or not _NOT_IN_BARE_NAMES.isdisjoint(name)
    ):
        hint = "Rename the tool: printable, no space at its ends, none of ()[]{},'\"=:\\."
        raise SchemaError(name, "", "name", "cannot be written before a parenthesis", hint)


def _call_rules(hole: str, rule: str, name: str, parameters: str, syntax: Syntax) -> dict[str, str]:
    """The rules of one tool's call: the hole with its placeholders filled, and what they refer to."""
    arguments = f"{rule}-arguments"
    written = quoted(name if syntax.keyword_arguments else syntax.write(name))
    filling = {"name": written, "arguments": arguments}
    call = _PLACEHOLDER.sub(lambda match: filling[match[1]], hole)
    return {rule: call, **argument_rules(name, json.loads(parameters), syntax, arguments)}
