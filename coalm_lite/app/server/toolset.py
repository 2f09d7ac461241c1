"""A request's tools: what the model is told of them, the grammar of what it may write, and the check of its calls.

`tool_choice` and `parallel_tool_calls` are held by the grammar. All tools stand in the prompt, so that prompts of one
client begin alike, but for the choice "none": a model that sees tools writes calls as words where it may not call. What
was made of the same tools is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from coalm_lite import dialects
from coalm_lite.app.server.chat_request import AllowedTools, ChatRequest, NamedTool, ToolEntry
from coalm_lite.app.server.refusal import Refusal
from coalm_lite.dialects import Dialect
from coalm_lite.errors import SchemaError, ToolError
from coalm_lite.grammar import Grammar, compile_frame
from coalm_lite.grammar.frames import Wanted
from coalm_lite.tools.schema import ArgumentReader, schema_reader, spec_from_schema, unknown
from coalm_lite.types import ToolCall, ToolSpec

_REMEMBERED = 64


@dataclass(frozen=True)
class Toolset:
    """The tools of a request; `grammar` is that of the whole answer."""

    specs: tuple[ToolSpec, ...]
    readers: Mapping[str, ArgumentReader]
    grammar: Grammar

    def checked(self, call: ToolCall) -> ToolCall:
        """The call; ToolError, in words for the model, where it does not fit its tool's schema."""
        reader = self.readers.get(call.name)
        if reader is None:
            raise ToolError(unknown("tool", call.name, self.readers))
        return ToolCall(call.name, reader(call.arguments).written)


def toolset_of(request: ChatRequest, dialect: Dialect) -> Toolset:
    """The request's tools in a dialect; Refusal 400 naming tool, JSON pointer and keyword for what cannot be held."""
    written = tuple(_written(entry) for entry in request.tools or ())
    return _toolset(written, _choice_of(request, _names(written)), dialect.NAME)


@dataclass(frozen=True)
class _Choice:
    """Which of the tools may be called, and how many calls there must be."""

    allowed: tuple[str, ...]
    wanted: Wanted


@lru_cache(maxsize=_REMEMBERED)
def _toolset(written: tuple[bytes, ...], choice: _Choice, dialect: str) -> Toolset:
    specs = [_spec(text, at) for at, text in enumerate(written)]
    usable = [spec for spec in specs if spec.name in choice.allowed]
    grammar = _grammar(dialects.get(dialect), usable, choice.wanted, [spec.name for spec in specs])
    shown = tuple(specs) if usable else ()
    return Toolset(shown, {spec.name: _reader(text) for spec, text in zip(specs, written, strict=True)}, grammar)


@lru_cache(maxsize=_REMEMBERED)
def _names(written: tuple[bytes, ...]) -> tuple[str, ...]:
    names = tuple(_spec(text, at).name for at, text in enumerate(written))
    for at, name in enumerate(names):
        if name in names[:at]:
            place = f"tools[{at}].function.name"
            raise Refusal(400, f"{place}: two tools are called {name!r}", place, "invalid_tool")
    return names


def _written(entry: ToolEntry) -> bytes:
    return entry.function.model_dump_json(exclude_none=True, exclude={"strict"}).encode()


def _spec(written: bytes, at: int) -> ToolSpec:
    try:
        return _read(written)[0]
    except ToolError as error:
        raise _refused(error, at) from error


def _reader(written: bytes) -> ArgumentReader:
    return _read(written)[1]


@lru_cache(maxsize=4 * _REMEMBERED)
def _read(written: bytes) -> tuple[ToolSpec, ArgumentReader]:
    spec = spec_from_schema(json.loads(written))
    return spec, schema_reader(spec)


def _grammar(dialect: Dialect, usable: Sequence[ToolSpec], wanted: Wanted, names: Sequence[str]) -> Grammar:
    try:
        return compile_frame(dialect.NAME, usable, dialect.parse, wanted)
    except SchemaError as error:
        raise _refused(error, names.index(error.tool) if error.tool in names else 0) from error


def _refused(error: ToolError, at: int) -> Refusal:
    pointer = error.pointer if isinstance(error, SchemaError) else ""
    place = f"tools[{at}].function" + (f".parameters{pointer}" if pointer else "")
    hint = f". {error.hint}" if error.hint else ""
    return Refusal(400, f"tools[{at}]: {error.message}{hint}", place, "invalid_tool")


def _choice_of(request: ChatRequest, names: tuple[str, ...]) -> _Choice:
    choice = request.tool_choice
    single = request.parallel_tool_calls is False
    if choice == "none" or (not names and choice in (None, "auto")):
        return _Choice((), "any")
    if not names:
        raise Refusal(400, "tool_choice: there are no tools", "tool_choice", "invalid_value")
    if isinstance(choice, NamedTool):
        return _Choice((_known(choice, names, "tool_choice.function.name"),), "one")
    if isinstance(choice, AllowedTools):
        place = "tool_choice.allowed_tools.tools"
        allowed = tuple(_known(tool, names, f"{place}[{at}]") for at, tool in enumerate(choice.allowed_tools.tools))
        return _Choice(allowed, _wanted(choice.allowed_tools.mode == "required", single))
    return _Choice(names, _wanted(choice == "required", single))


def _wanted(required: bool, single: bool) -> Wanted:
    if required:
        return "one" if single else "some"
    return "one or none" if single else "any"


def _known(tool: NamedTool, names: Sequence[str], place: str) -> str:
    name = tool.function.name
    if name not in names:
        raise Refusal(400, f"{place}: {unknown('tool', name, names)}", place, "invalid_value")
    return name
