"""Each dialect's frame, filled for the tools at hand.

A frame is a file of `coalm_lite.grammars`, one rule a line. Its rule `call` is the hole, with the placeholders `<name>`
and `<arguments>`; `calls` is the only rule that uses it, and one rule chooses `calls | ` or something without a call.
What the frame writes before and after a name, and what names begin with together, is written once for all tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Literal, TypeAlias

from coalm_lite.errors import OutputError, SchemaError, UsageError
from coalm_lite.grammar import ir
from coalm_lite.grammar.check import check_against_metaschema, value_check
from coalm_lite.grammar.compiled import Grammar
from coalm_lite.grammar.gbnf_reader import read_file
from coalm_lite.grammar.parts import Held
from coalm_lite.grammar.plain import as_text
from coalm_lite.grammar.schema import Compiler
from coalm_lite.grammar.strings import StringRules
from coalm_lite.grammar.syntax import JSON, PYTHON, Syntax
from coalm_lite.types import Message, ToolSpec

Wanted: TypeAlias = Literal["any", "some", "one", "one or none"]
_SYNTAXES = {"bfcl": PYTHON, "cra": PYTHON, "dst": JSON, "hammer": JSON}
_NOT_IN_BARE_NAMES = frozenset("()[]{},'\"=:\\")
_REMEMBERED = 64


def fill_frame(dialect: str, tools: Sequence[ToolSpec]) -> str:
    """GBNF, with the start rule `root`, of every output of `dialect` with valid calls of `tools` or with none.

    SchemaError for a tool that the grammar cannot hold, UsageError for an unknown dialect.
    """
    return _filled(*_keys(dialect, tools), "any").gbnf


def check_tools(tools: Sequence[ToolSpec], dialect: str) -> None:
    """Raises SchemaError for the first tool that the grammar of `dialect` cannot hold."""
    fill_frame(dialect, tools)


def compile_frame(
    dialect: str, tools: Sequence[ToolSpec], read: Callable[[str], Message], wanted: Wanted = "any"
) -> Grammar:
    """The grammar of what `fill_frame` gives, with a check: `read` must find valid calls alone in a text.

    `wanted`: "some" leaves out what is no call, "one or none" more than one call, "one" both; UsageError where a call
    is wanted and there is no tool. Other errors as for `fill_frame`. The same tools give the same object.
    """
    if wanted in ("some", "one") and not tools:
        raise UsageError("a call is wanted, and there are no tools", "Give a tool.")
    return _checked(*_keys(dialect, tools), read, wanted)


def _keys(dialect: str, tools: Sequence[ToolSpec]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What tells one grammar from another: the dialect, and the tools' names and parameters as text."""
    if dialect not in _SYNTAXES:
        raise UsageError(f"no grammar for dialect {dialect!r}", f"Use one of {', '.join(_SYNTAXES)}.")
    return dialect, tuple((tool.name, as_text(tool.name, tool.parameters)) for tool in tools)


@lru_cache(maxsize=_REMEMBERED)
def _checked(
    dialect: str, tools: tuple[tuple[str, str], ...], read: Callable[[str], Message], wanted: Wanted
) -> Grammar:
    return _filled(dialect, tools, wanted).checked_by(_calls_check(tools, read))


def _calls_check(tools: tuple[tuple[str, str], ...], read: Callable[[str], Message]) -> Callable[[str], bool]:
    fits = {name: value_check(json.loads(parameters)) for name, parameters in tools}

    def check(text: str) -> bool:
        try:
            calls = read(text).calls
        except OutputError:
            return False
        return all(call.name in fits and fits[call.name](call.arguments) for call in calls)

    return check


@lru_cache(maxsize=_REMEMBERED)
def _filled(dialect: str, tools: tuple[tuple[str, str], ...], wanted: Wanted) -> Grammar:
    """The grammar with no check of its own."""
    syntax = _SYNTAXES[dialect]
    frame = dict(_frame(dialect))
    hole = frame.pop("call")
    if not tools:
        del frame["calls"]
        return Grammar({rule: _without_calls(body) for rule, body in frame.items()}, (), _no_check, "")
    if wanted in ("some", "one"):
        frame = {rule: _calls_alone(body) for rule, body in frame.items()}
    if wanted in ("one", "one or none"):
        frame["calls"] = _without_repeats(frame["calls"])
    rules: dict[str, ir.Expression] = {**frame, "call": ir.EMPTY, **_frame(syntax.name), **_frame("values")}
    strings = StringRules(syntax, rules)
    held: list[Held] = []
    for index, (name, parameters) in enumerate(tools):
        _check_name(name, [earlier for earlier, _ in tools[:index]], syntax)
        held += _add_arguments(f"call-{index}", Compiler(json.loads(parameters), name, syntax, strings, rules))
    rules["call"] = _call(hole, [name for name, _ in tools], syntax)
    return Grammar(rules, tuple(held), _no_check, tools[0][0])


def _no_check(text: str) -> bool:
    raise AssertionError("this grammar is for its rules alone")


def _add_arguments(rule: str, compiler: Compiler) -> tuple[Held, ...]:
    """Adds the rules of one tool's arguments; returns how each keyword is held."""
    compiler.add_arguments(rule)
    held = tuple(compiler.document.held.values())
    if any(one.how == "check" for one in held):
        check_against_metaschema(compiler.document.name, compiler.document.root.schema)
    return held


def _call(hole: ir.Expression, names: Sequence[str], syntax: Syntax) -> ir.Expression:
    """The hole with its placeholders filled for all tools: names branch as late as they differ."""
    items = hole.items if isinstance(hole, ir.Sequence) else (hole,)
    places = [
        at for at, item in enumerate(items) if isinstance(item, ir.Ref) and item.name in ("<name>", "<arguments>")
    ]
    if len(places) != 2:
        raise ValueError("a frame's call has one <name> and one <arguments>")
    before, middle, after = items[: places[0]], items[places[0] + 1 : places[1]], items[places[1] + 1 :]
    written = {name if syntax.keyword_arguments else syntax.write(name): at for at, name in enumerate(names)}
    tails = {name: ir.sequence(*middle, ir.Ref(f"call-{at}"), *after) for name, at in written.items()}
    return ir.sequence(*before, ir.branches(tails))


@cache
def _frame(name: str) -> Mapping[str, ir.Expression]:
    return read_file(name)


def _without_calls(body: ir.Expression) -> ir.Expression:
    """The rule without the option `calls`."""
    if not isinstance(body, ir.Choice):
        return body
    return ir.choice(option for option in body.options if not (isinstance(option, ir.Ref) and option.name == "calls"))


def _calls_alone(body: ir.Expression) -> ir.Expression:
    """The rule with no other option beside `calls`."""
    options = body.options if isinstance(body, ir.Choice) else ()
    return next((option for option in options if isinstance(option, ir.Ref) and option.name == "calls"), body)


def _without_repeats(calls: ir.Expression) -> ir.Expression:
    """The rule `calls` with its first call alone."""
    items = calls.items if isinstance(calls, ir.Sequence) else (calls,)
    return ir.sequence(*(item for item in items if not isinstance(item, ir.Repeat)))


def _check_name(name: str, earlier: Sequence[str], syntax: Syntax) -> None:
    if not name or name in earlier:
        problem = "two tools have this name" if name else "is empty"
        raise SchemaError(name, "", "name", problem, "Give each tool a name of its own.")
    if syntax.keyword_arguments and (
        not name.isprintable() or name != name.strip() or not _NOT_IN_BARE_NAMES.isdisjoint(name)
    ):
        hint = "Rename the tool: printable, no space at its ends, none of ()[]{},'\"=:\\."
        raise SchemaError(name, "", "name", "cannot be written before a parenthesis", hint)
