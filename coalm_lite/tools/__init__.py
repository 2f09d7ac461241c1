"""Tools: Python functions that a model may call, the box that checks and runs its calls, and files of tools.

A call that is wrong, a tool that raises, a timeout and a result that is too long all become an observation that the
model reads. Not here: which schemas a grammar can hold (grammar/), and who confirms a call (session.py).
"""

from __future__ import annotations

import inspect
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeAlias

from coalm_lite.errors import ToolError
from coalm_lite.runtime.base import Cancel
from coalm_lite.tools.functions import function_name, read_function
from coalm_lite.tools.run import ToolStoppedError, ToolTimeoutError, error_to_json, run_to_json
from coalm_lite.tools.schema import (
    ArgumentReader,
    Arguments,
    refuse_duplicates,
    schema_reader,
    shown,
    spec_from_schema,
    specs_from_json,
    unknown,
    valid_name,
)
from coalm_lite.types import JsonObject, Observation, ToolCall, ToolSpec

__all__ = [
    "Tool",
    "ToolLike",
    "Toolbox",
    "load_tools",
    "specs_from_json",
    "tool_from_function",
    "tool_from_schema",
    "valid_name",
]

DEFAULT_TIMEOUT_S = 30.0
MAX_RESULT_CHARACTERS = 8000


@dataclass(frozen=True)
class Tool:
    """A function with what the model is told of it; `read_arguments` checks a call before it runs."""

    spec: ToolSpec
    function: Callable[..., object]
    timeout_s: float = DEFAULT_TIMEOUT_S
    read_arguments: ArgumentReader = field(kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise ToolError(f"tool {self.spec.name!r}: timeout_s is {self.timeout_s}", "give seconds, more than 0")


ToolLike: TypeAlias = "Tool | Callable[..., object]"


def tool_from_function(
    function: Callable[..., object],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Tool:
    """The tool that a function's signature, type hints and docstring describe; sync and async functions alike.

    Raises ToolError naming function and parameter for what a call cannot give: *args, **kwargs, positional-only
    parameters, parameters without a type or of a type that JSON cannot carry.
    """
    own_name = function_name(function) if name is None else valid_name(name)
    spec, reader = read_function(function, own_name, description)
    return Tool(spec, function, timeout_s, read_arguments=reader)


def tool_from_schema(
    schema: JsonObject, function: Callable[..., object], *, timeout_s: float = DEFAULT_TIMEOUT_S
) -> Tool:
    """The tool of a plain or OpenAI-form schema; `function` gets the arguments by name, as JSON values.

    Raises ToolError for a form that lacks something, or a function that cannot take the parameters; SchemaError for a
    wrong keyword.
    """
    spec = spec_from_schema(schema)
    _check_takes(function, spec)
    return Tool(spec, function, timeout_s, read_arguments=schema_reader(spec))


def _check_takes(function: Callable[..., object], spec: ToolSpec) -> None:
    properties, required = spec.parameters.get("properties"), spec.parameters.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a builtin that shows no signature: its own error becomes an observation
    for names in (list(properties), [str(name) for name in required]):
        try:
            signature.bind(**dict.fromkeys(names))
        except TypeError as error:
            problem = f"its function cannot be called with {', '.join(names) or 'no arguments'}: {error}"
            hint = "give the function the schema's properties as parameters, the optional ones with a default"
            raise ToolError(f"tool {spec.name!r}: {problem}", hint) from error


class Toolbox:
    """The tools of a session, by name: checks calls and runs them."""

    def __init__(self, tools: Iterable[ToolLike], *, max_result_characters: int = MAX_RESULT_CHARACTERS) -> None:
        listed = [tool if isinstance(tool, Tool) else tool_from_function(tool) for tool in tools]
        refuse_duplicates(tool.spec.name for tool in listed)
        self._tools = {tool.spec.name: tool for tool in listed}
        self._max_result_characters = max_result_characters

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    def validate(self, call: ToolCall) -> ToolCall:
        """The call with its arguments converted to their types, as JSON values.

        Raises ToolError for an unknown tool and for missing, unknown or wrong arguments, in words for the model.
        """
        _, arguments = self._read(call)
        return ToolCall(call.name, arguments.written)

    def run(self, call: ToolCall, cancel: Cancel | None = None) -> Observation:
        """What came of the call: its result as JSON, or `{"error": ...}` and not `ok`; only Ctrl-C is raised.

        A tool that runs when `cancel` is set is waited for no longer.
        """
        try:
            tool, arguments = self._read(call)
        except ToolError as error:
            return self._failure(call, error.message)
        try:
            text = run_to_json(tool.function, arguments.values, tool.timeout_s, cancel)
        except ToolTimeoutError as error:
            return self._failure(call, f"TimeoutError: {call.name}: {error}")
        except ToolStoppedError:
            return self._failure(call, f"the user stopped before {call.name} had a result; it may still have one")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the user's function raises, sys.exit() included, the model reads it
            return self._failure(call, _described(error))
        return self._success(call, text)

    def _read(self, call: ToolCall) -> tuple[Tool, Arguments]:
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolError(unknown("tool", call.name, self._tools), "call one of the listed tools")
        try:
            return tool, tool.read_arguments(call.arguments)
        except ToolError:
            raise
        except Exception as error:  # a validator of the user's own may raise anything
            raise ToolError(f"{call.name}: {_described(error)}", "give other arguments") from error

    def _success(self, call: ToolCall, text: str) -> Observation:
        limit = self._max_result_characters
        if len(text) > limit:
            problem = f"the result of {call.name} has {len(text)} characters, more than the {limit} allowed"
            return self._failure(call, f"{problem}; ask for less")
        return Observation(call, text)

    def _failure(self, call: ToolCall, problem: str) -> Observation:
        limit = self._max_result_characters
        if len(problem) > limit:
            problem = f"{problem[:limit]}… ({len(problem)} characters)"
        return Observation(call, error_to_json(problem), ok=False)


def _described(error: BaseException) -> str:
    try:
        words = str(error)
    except Exception as second:  # an exception class of the user's whose __str__ fails
        words = f"its message cannot be read ({type(second).__name__})"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def load_tools(path: Path) -> list[ToolLike]:
    """The public functions that a Python file defines, in its order, or its `TOOLS` list if it has one.

    The file runs as a module of a private name. Raises ToolError naming file and line if it cannot be read or run, or
    has no tools; then nothing of it stays in sys.modules.
    """
    code = _compiled(path)
    module = ModuleType(f"_coalm_lite_tools_{uuid.uuid4().hex}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pydantic look their module up there
    try:
        _execute(code, module, path)
        return _tools_of(module, path)
    except BaseException:
        sys.modules.pop(module.__name__, None)
        raise


def _compiled(path: Path) -> CodeType:
    try:
        return compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise ToolError(f"cannot read the tools file {path}: {error.strerror}", "check the path") from error
    except SyntaxError as error:
        raise ToolError(f"{_place(path, error.lineno)}: {error.msg}", "correct the file; it must be Python") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte, too deep a nesting
        raise ToolError(f"{path}: {_described(error)}", "give a Python source file") from error


def _execute(code: CodeType, module: ModuleType, path: Path) -> None:
    try:
        exec(code, module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's own code; sys.exit() must not end the program either
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        hint = f"run `python {path}` to see the whole traceback"
        if isinstance(error, ModuleNotFoundError):
            hint = f"install {error.name}, or put the folder that has it on PYTHONPATH"
        raise ToolError(f"{_place(path, lines[-1] if lines else None)}: {_described(error)}", hint) from error


def _place(path: Path, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


def _tools_of(module: ModuleType, path: Path) -> list[ToolLike]:
    names = vars(module)
    found = names["TOOLS"] if "TOOLS" in names else _public_functions(module)
    if not isinstance(found, list | tuple):
        raise ToolError(f"{path}: TOOLS is {shown(found)}", "make it a list of functions")
    for tool in found:
        if not isinstance(tool, Tool) and not callable(tool):
            raise ToolError(f"{path}: TOOLS holds {shown(tool)}, which cannot be called", "list functions in it")
    if not found:
        raise ToolError(f"{path} has no tools", "define a function whose name starts with no underscore, or fill TOOLS")
    return list(found)


def _public_functions(module: ModuleType) -> list[Callable[..., object]]:
    found: dict[int, Callable[..., object]] = {}
    for name, value in vars(module).items():
        if name.startswith("_") or not callable(value):
            continue
        inner = inspect.unwrap(value)  # functools.cache and the like keep what they wrap
        own = inspect.isfunction(inner) and inner.__module__ == module.__name__ and inner.__name__ != "<lambda>"
        if own:
            found.setdefault(id(inner), value)
    return list(found.values())
