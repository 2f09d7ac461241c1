"""What calibration conversations are about: a function's arguments, how people ask for it, what it gives.

A request names its arguments in braces; what it does not name is left out of the call, and one that lacks a required
argument must be asked back. An answer may name arguments and fields of the result. All invented here, with values
that several functions share; the functions stand in `errands` and `leisure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coalm_lite.types import JsonObject, JsonValue, ToolSpec

Values = Sequence[JsonValue]
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


@dataclass(frozen=True, slots=True)
class Slot:
    """An argument and values that it may have; `closed` when no others are allowed."""

    name: str
    description: str
    values: Values
    required: bool = True
    closed: bool = False

    @property
    def schema(self) -> JsonObject:
        """The argument's JSON schema."""
        # The widest type of the values: one with a decimal place makes all of them numbers.
        kind = next((_TYPES[float] for value in self.values if isinstance(value, float)), _TYPES[type(self.values[0])])
        schema: JsonObject = {"type": kind, "description": self.description}
        if isinstance(self.values[0], list):
            schema["items"] = {"type": "string"}
        return schema | ({"enum": list(self.values)} if self.closed else {})


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A tool, requests that it answers, the fields of its result with their values, and answers made of them."""

    name: str
    description: str
    slots: Sequence[Slot]
    requests: Sequence[str]
    result: Mapping[str, Values]
    answers: Sequence[str]

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model is told of it."""
        properties: JsonObject = {slot.name: slot.schema for slot in self.slots}
        required: list[JsonValue] = [slot.name for slot in self.slots if slot.required]
        parameters: JsonObject = {"type": "object", "properties": properties, "required": required}
        return ToolSpec(self.name, self.description, parameters)


CITIES = ("Lisbon", "Oslo", "Nairobi", "Kyoto", "Quebec City", "Leeds", "Santiago", "Ghent", "Mumbai", "Wellington")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DATES = ("2026-03-14", "2026-04-02", "2026-05-21", "2026-07-09", "2026-09-30", "2026-11-11", "2027-01-05")
TIMES = ("07:45", "09:00", "10:30", "12:15", "14:00", "16:20", "18:30", "20:00", "21:45")
PEOPLE = ("Amina", "Jonas", "Priya", "Carlos", "Mei", "Olu", "Freya", "Tomasz", "Leila", "Sam")
PRICES = (4.5, 12.99, 19.0, 48.75, 120.0, 349.99, 1280.0)
SMALL = (1, 2, 3, 4, 5, 6, 8)
CODES = ("K7Q2", "ZB914", "44-TR", "MX03", "PL-871", "9F2D")
ROOMS = ("kitchen", "bedroom", "hall", "living room", "study", "garage")
