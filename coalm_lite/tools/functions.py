"""Python functions as tools: their spec from signature, type hints and docstring, and the check of their arguments.

pydantic reads the types: whatever it can check and describe as JSON Schema may be a parameter. Refused: parameters
without a type, *args, **kwargs and positional-only ones, since a call gives its arguments by name. On Python 3.11
pydantic takes only `typing_extensions.TypedDict`, and the error says so. Not here: running (tool_run.py), tools that
are given as a schema (tool_schema.py).
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from coalm_lite.errors import ToolError
from coalm_lite.tools.describe import parameter_descriptions, plain_schema, summary
from coalm_lite.tools.schema import ArgumentReader, Arguments, refusal, shown, unknown, valid_name
from coalm_lite.types import JsonObject, ToolSpec

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_KINDS_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def function_name(function: Callable[..., object]) -> str:
    """The name that a function brings along; ToolError if it has none of its own."""
    name = getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        raise ToolError(f"{shown(function)} has no name of its own", "pass name= to tool_from_function")
    return valid_name(name)


def read_function(
    function: Callable[..., object], name: str, description: str | None = None
) -> tuple[ToolSpec, ArgumentReader]:
    """A function's spec under `name` and the check of its arguments; ToolError names function and parameter."""
    parameters = named_parameters(function, name)
    model = _arguments_model(name, parameters)
    documentation = inspect.getdoc(_underlying(function)) or ""
    schema = _model_schema(name, model, parameters)
    spec = ToolSpec(
        name=name,
        description=summary(documentation) if description is None else description,
        parameters=plain_schema(schema, parameter_descriptions(documentation)),
    )
    return spec, _model_reader(name, model, parameters)


def named_parameters(function: Callable[..., object], name: str) -> list[inspect.Parameter]:
    """A function's parameters with their types evaluated, each of them one that a call can give by name."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ToolError(f"tool {name!r}: {shown(function)} shows no signature", "wrap it in a function") from error
    return [_checked_parameter(function, name, parameter) for parameter in signature.parameters.values()]


def _checked_parameter(function: Callable[..., object], tool: str, parameter: inspect.Parameter) -> inspect.Parameter:
    from pydantic.fields import FieldInfo

    if parameter.kind not in _KINDS_BY_NAME:
        kind = f"is {parameter.kind.description}; a call gives arguments by name"
        raise _parameter_error(tool, parameter, kind, "name each parameter of the tool, with its type")
    if parameter.annotation is inspect.Parameter.empty:
        raise _parameter_error(tool, parameter, "has no type", f"annotate it, as in `{parameter.name}: str`")
    if isinstance(parameter.default, FieldInfo):
        hint = f"write `{parameter.name}: Annotated[T, Field(...)] = value`; the function itself needs the value"
        raise _parameter_error(tool, parameter, "has a Field as its default", hint)
    return parameter.replace(annotation=_evaluated(function, tool, parameter))


def _parameter_error(tool: str, parameter: inspect.Parameter, problem: str, hint: str) -> ToolError:
    return ToolError(f"tool {tool!r}: parameter {parameter.name!r} {problem}", hint)


def _evaluated(function: Callable[..., object], tool: str, parameter: inspect.Parameter) -> object:
    """The type that an annotation means; each on its own, so that only the parameters' types need to be importable."""
    holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
    scope = getattr(_underlying(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=scope, include_extras=True)["it"]
    except Exception as error:  # an annotation is code of the user's and may raise anything
        hint = "import or define the type at the top level of the module, not under TYPE_CHECKING or in a function"
        problem = f"has the type {parameter.annotation!r}, which cannot be evaluated: {error}"
        raise _parameter_error(tool, parameter, problem, hint) from error


def _underlying(function: Callable[..., object]) -> Callable[..., object]:
    """The plain function below partials, wrappers and callable objects: it has the globals and the docstring."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if hasattr(function, "__globals__") or hasattr(function, "__func__") or inspect.isclass(function):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - the method is wanted, not whether there is one


def _arguments_model(tool: str, parameters: Sequence[inspect.Parameter]) -> type[BaseModel]:
    """A model with one field a parameter, called p0, p1, ...: a parameter may be called `copy`, `schema` or `_x`."""
    from pydantic import ConfigDict, create_model

    # Any: pydantic types its field definitions so
    fields: dict[str, Any] = {f"p{i}": (p.annotation, _field(p)) for i, p in enumerate(parameters)}
    try:
        return create_model("Arguments", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)
    except Exception as error:  # building a type runs the user's own hooks
        raise _type_error(tool, parameters, error) from error


def _field(parameter: inspect.Parameter) -> FieldInfo:
    from pydantic import Field

    name = parameter.name
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    field: FieldInfo = Field(default, alias=name, validation_alias=name, serialization_alias=name)
    return field


def _type_error(tool: str, parameters: Sequence[inspect.Parameter], error: Exception) -> ToolError:
    """The error for types that pydantic cannot check or describe, naming the first such parameter."""
    from pydantic import TypeAdapter

    hint = "use a type that JSON can carry: str, int, float, bool, list, dict, Literal, an enum, a pydantic model"
    for parameter in parameters:
        try:
            TypeAdapter(parameter.annotation).json_schema()
        except Exception as problem:  # as above: the user's own hooks
            reason = str(problem).split("\n", 1)[0]
            return _parameter_error(tool, parameter, f"has a type that no tool can take: {reason}", hint)
    return ToolError(f"tool {tool!r}: {str(error).splitlines()[0]}", hint)


def _model_schema(tool: str, model: type[BaseModel], parameters: Sequence[inspect.Parameter]) -> JsonObject:
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

    class Quiet(GenerateJsonSchema):
        def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
            """Nothing: a default that JSON cannot carry stays out of the schema; the function still has it."""

    try:
        return model.model_json_schema(schema_generator=Quiet)
    except Exception as error:  # as above: the user's own hooks
        raise _type_error(tool, parameters, error) from error


def _model_reader(tool: str, model: type[BaseModel], parameters: Sequence[inspect.Parameter]) -> ArgumentReader:
    names = [parameter.name for parameter in parameters]

    def read(arguments: JsonObject) -> Arguments:
        checked = _validated(tool, model, names, arguments)
        given = {name: getattr(checked, f"p{i}") for i, name in enumerate(names) if f"p{i}" in checked.model_fields_set}
        return Arguments(values=given, written=_written(checked, arguments))

    return read


def _validated(tool: str, model: type[BaseModel], names: Sequence[str], arguments: JsonObject) -> BaseModel:
    from pydantic import ValidationError

    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise refusal(tool, [_problem(detail, names) for detail in details]) from error


def _problem(detail: ErrorDetails, names: Sequence[str]) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    top_level = len(detail["loc"]) == 1
    if top_level and detail["type"] == "missing":
        return f"missing argument {place!r}"
    if top_level and detail["type"] == "extra_forbidden":
        return unknown("argument", detail["loc"][0], names)
    where = f"argument {place}: " if place else "arguments: "
    return f"{where}{detail['msg']}, got {shown(detail['input'])}"


def _written(checked: BaseModel, arguments: JsonObject) -> JsonObject:
    """The converted arguments as JSON, where that reads back equal (a SecretStr does not); else as they came."""
    try:
        written = checked.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
        same = bool(type(checked).model_validate(written) == checked)
    except Exception:  # a type that can be read but not written, by the user's own serializer perhaps
        return arguments
    return written if same else arguments
