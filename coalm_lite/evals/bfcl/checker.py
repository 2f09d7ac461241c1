"""BFCL's AST check: whether parsed calls are what an item's possible answers allow.

Written from BFCL's published rules and from what its checker (bfcl-eval 2026.3.23) is seen to decide; none of its code
is here. `benchmarks/bfcl_checker.py` measures the agreement. What may surprise is BFCL's own: with several functions
the first answer alone counts, calls that are alike are matched to the first answer that takes them, `1` stands for
`1.0` of a Python float and never for the items of a list of floats, and text is compared without its punctuation.

An answer is `{function: {parameter: allowed values}}`; `""` among the values means that it may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from coalm_lite.evals.bfcl.values import Declared, wrong_value
from coalm_lite.tools.foreign_types import Language
from coalm_lite.types import JsonObject, JsonValue, ToolCall

Count: TypeAlias = Literal["one", "first", "any_order"]
Answers: TypeAlias = "Sequence[Mapping[str, Mapping[str, list[JsonValue]]]]"


def wrong_calls(
    calls: Sequence[ToolCall],
    functions: Sequence[JsonObject],
    answers: Answers,
    count: Count,
    language: Language = "python",
) -> str:
    """What is wrong with the calls, for a person; "" where they are right.

    `count`: `one` call is due (simple), `first`: as many as answers, of which the first is compared (multiple), or
    `any_order`: each answer needs a call of its own (parallel). `functions` are BFCL's own descriptions.
    """
    due = 1 if count == "one" else len(answers)
    if len(calls) != due:
        return f"{len(calls)} calls where {due} {'is' if due == 1 else 'are'} due"
    described = {str(function["name"]): function for function in reversed(functions)}
    if count == "any_order":
        return _wrong_in_any_order(calls, described, answers, language)
    name = next(iter(answers[0]))
    function = functions[0] if count == "one" else described.get(name)
    return _wrong_call(calls[0], function, answers[0], language)


def _wrong_in_any_order(
    calls: Sequence[ToolCall], described: Mapping[str, JsonObject], answers: Answers, language: Language
) -> str:
    """Each answer takes the first call that fits and is free, as BFCL matches them: no better pairing is sought."""
    free = list(range(len(calls)))
    for answer in answers:
        name = next(iter(answer))
        problems = {at: _wrong_call(calls[at], described.get(name), answer, language) for at in free}
        fitting = next((at for at, problem in problems.items() if not problem), None)
        if fitting is None:
            nearest = next((problem for at, problem in problems.items() if calls[at].name == name), "")
            return f"no call is what {name!r} needs{': ' if nearest else ''}{nearest}"
        free.remove(fitting)
    return ""


def _wrong_call(
    call: ToolCall, function: JsonObject | None, answer: Mapping[str, Mapping[str, list[JsonValue]]], language: Language
) -> str:
    allowed = next(iter(answer.values()))
    name, properties, required = _signature(function)
    if call.name != name:
        return f"{call.name!r} is called where {name!r} is due"
    missing = [parameter for parameter in required if parameter not in call.arguments]
    if missing:
        return f"{name}: the required {missing[0]!r} is missing"
    for parameter, value in call.arguments.items():
        if parameter not in properties or parameter not in allowed:
            return f"{name}: {parameter!r} is not expected"
        problem = wrong_value(value, Declared.read(properties[parameter], language), allowed[parameter])
        if problem:
            return f"{name}: {parameter!r}: {problem}"
    left_out = [key for key, values in allowed.items() if key not in call.arguments and "" not in values]
    return f"{name}: {left_out[0]!r} may not be left out" if left_out else ""


def _signature(function: JsonObject | None) -> tuple[str, Mapping[str, JsonValue], Sequence[JsonValue]]:
    """A described function's name, its parameters, and the names of the required ones."""
    parameters = function.get("parameters") if function else None
    if not function or not isinstance(parameters, dict):
        return "", {}, ()
    properties, required = parameters.get("properties"), parameters.get("required")
    return (
        str(function["name"]),
        properties if isinstance(properties, dict) else {},
        required if isinstance(required, list) else (),
    )
