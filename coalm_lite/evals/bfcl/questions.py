"""BFCL's files as items: what is asked, of which functions, and what is right.

Single-turn categories come from the V3 files, `BFCL_v3_<category>.json` and the same name in `possible_answer/`. The
multi-turn ones come from the data inside bfcl-eval, `BFCL_v4_multi_turn_*.json`: its executors were repaired after V3,
and about a third of the gold answers with them. An item's own system words (2 % of the live items) stand before the
first words of the user, because the functions have the system message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import cast

from coalm_lite.errors import StoreError
from coalm_lite.evals.bfcl.categories import Category
from coalm_lite.evals.bfcl.checker import Answers
from coalm_lite.evals.data.files import data_file, read_json_lines
from coalm_lite.tools.foreign_types import Language, spec_from_foreign
from coalm_lite.types import JsonObject, JsonValue, Message, Role, ToolSpec

# The file that describes each class of BFCL's; every one of them is used by some item.
CLASS_FILES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
_ROLES: tuple[Role, ...] = ("user", "assistant")
_DAMAGED = "The file is damaged or another than the published one: fetch it again with `coalm-lite data fetch`."


@dataclass(frozen=True, slots=True)
class Question:
    """A single-turn item; `answers` is empty where relevance alone counts."""

    id: str
    category: Category
    messages: tuple[Message, ...]
    functions: tuple[JsonObject, ...]
    answers: Answers = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A multi-turn item: `held_out` names the functions that come with a turn, which then asks nothing new."""

    id: str
    category: Category
    turns: tuple[tuple[Message, ...], ...]
    functions: tuple[JsonObject, ...]
    entry: JsonObject
    gold: tuple[tuple[str, ...], ...]
    held_out: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def read_questions(folder: Path, category: Category) -> Iterator[Question]:
    """A single-turn category's items, in the file's order. StoreError for a file that is missing or of another form."""
    name = f"BFCL_v3_{category.file}.json"
    rows = read_json_lines(data_file(folder, name))
    answers = _answers(folder, name) if category.kind == "calls" else {}
    for row in rows:
        try:
            (turn,) = cast("list[list[JsonObject]]", row["question"])
            found = cast(Answers, answers[str(row["id"])] if answers else ())
            functions = tuple(cast("list[JsonObject]", row["function"]))
            yield Question(str(row["id"]), category, _messages(turn), functions, found)
        except (KeyError, TypeError, ValueError) as error:
            raise _of_another_form(folder / name, row, error) from None


def read_dialogues(package: Path, category: Category) -> Iterator[Dialogue]:
    """A multi-turn category's items, from an unpacked bfcl-eval. StoreError as above."""
    data = package / "bfcl_eval" / "data"
    name = f"BFCL_v4_{category.file}.json"
    gold = _answers(data, name)
    described = {each: read_json_lines(_class_file(data, file)) for each, file in CLASS_FILES.items()}
    for row in read_json_lines(data_file(data, name)):
        try:
            yield _dialogue(category, row, gold[str(row["id"])], described)
        except (KeyError, TypeError, ValueError) as error:
            raise _of_another_form(data / name, row, error) from None


def _class_file(data: Path, name: str) -> Path:
    return data_file(data / "multi_turn_func_doc", f"{name}.json")


def _dialogue(
    category: Category, row: JsonObject, gold: JsonValue, described: Mapping[str, Sequence[JsonObject]]
) -> Dialogue:
    functions = {
        str(each["name"]): each for name in cast("list[str]", row["involved_classes"]) for each in described[name]
    }
    held_out = cast("dict[str, list[str]]", row.get("missed_function", {}))
    return Dialogue(
        str(row["id"]),
        category,
        tuple(_messages(turn) for turn in cast("list[list[JsonObject]]", row["question"])),
        tuple(functions.values()),
        row,
        tuple(tuple(turn) for turn in cast("list[list[str]]", gold)),
        {int(turn): tuple(names) for turn, names in held_out.items()},
    )


def tools_of(functions: Sequence[JsonObject], language: Language) -> tuple[ToolSpec, ...]:
    """The functions as a model is told of them; SchemaError for a type that is none."""
    return tuple(_tool(json.dumps(function), language) for function in functions)


@lru_cache(maxsize=8192)  # BFCL has 4,500 functions, and the multi-turn items ask with 40 of 128 again and again
def _tool(described: str, language: Language) -> ToolSpec:
    function: JsonObject = json.loads(described)
    return spec_from_foreign(function if language == "python" else _with_types_told(function, language), language)


def _with_types_told(function: JsonObject, language: Language) -> JsonObject:
    """Each parameter's own type in its description: all of them are asked for as source text."""
    parameters = cast(JsonObject, function["parameters"])
    properties = cast("dict[str, JsonObject]", parameters["properties"])
    named = "Java" if language == "java" else "JavaScript"
    told: JsonObject = {
        name: {**schema, "description": f"{schema.get('description', '')} ({named} {_type(schema)}, as source text)"}
        for name, schema in properties.items()
    }
    return {**function, "parameters": {**parameters, "properties": told}}


def _type(schema: JsonObject) -> str:
    items = schema.get("items")
    return f"{schema.get('type')} of {items.get('type')}" if isinstance(items, dict) else str(schema.get("type"))


def _messages(turn: Sequence[JsonObject]) -> tuple[Message, ...]:
    system = [str(said["content"]) for said in turn if said["role"] == "system"]
    talk = [Message(_role(said["role"]), str(said["content"])) for said in turn if said["role"] != "system"]
    if system:
        talk[0] = Message(talk[0].role, "\n\n".join([*system, talk[0].text]))
    return tuple(talk)


def _role(name: JsonValue) -> Role:
    return next(role for role in _ROLES if role == name)


def _answers(folder: Path, name: str) -> dict[str, JsonValue]:
    rows = read_json_lines(data_file(folder / "possible_answer", name))
    return {str(row.get("id")): row.get("ground_truth") for row in rows}


def _of_another_form(path: Path, row: JsonObject, error: Exception) -> StoreError:
    problem = f"{path}: {str(row.get('id', 'a line'))!r} is no item of this category ({type(error).__name__}: {error})"
    return StoreError(problem, _DAMAGED)
