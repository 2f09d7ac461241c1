"""The values that the guide's arguments may have, and their checks.

Each check returns the value in its stored form or raises ValueError with a sentence that names argument and value: a
tool's errors are read by the model, which can then ask or try again.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

Area: TypeAlias = Literal["north", "south", "east", "west", "centre"]
PriceRange: TypeAlias = Literal["cheap", "moderate", "expensive"]
HotelType: TypeAlias = Literal["hotel", "guest house"]
Day: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

AREAS: tuple[str, ...] = get_args(Area)
PRICE_RANGES: tuple[str, ...] = get_args(PriceRange)
HOTEL_TYPES: tuple[str, ...] = get_args(HotelType)
DAYS: tuple[str, ...] = get_args(Day)

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_SHOWN_CHARACTERS = 60


def shown(value: object) -> str:
    """`value` as it stands in a sentence: quoted, and cut where it is too long to read."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def listed(values: list[str] | tuple[str, ...], joint: str = "or") -> str:
    """The values as a sentence names them: `a, b or c`."""
    return f" {joint} ".join(part for part in (", ".join(values[:-1]), values[-1]) if part)


def one_of(argument: str, value: object, choices: tuple[str, ...]) -> str:
    """The choice that `value` is, without regard to case."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in choices:
        return text
    raise ValueError(f"{argument} must be {listed(choices)}, not {shown(value)}")


def clock(argument: str, value: object) -> str:
    """The time of day as HH:MM; `9:00` is read as `09:00`."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        return f"{int(match[1]):02d}:{match[2]}"
    raise ValueError(f"{argument} must be a time of day from 00:00 to 23:59, such as 09:30, not {shown(value)}")


def whole_number(argument: str, value: object, low: int, high: int) -> int:
    """`value`, an integer from `low` to `high`."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValueError(f"{argument} must be a whole number from {low} to {high}, not {shown(value)}")


def place(argument: str, value: object) -> str:
    """The words that name a place, without surrounding space."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError(f"{argument} must name a place, not {shown(value)}")


def minutes(time: str) -> int:
    """The minutes since midnight of a time HH:MM."""
    hours, past = time.split(":")
    return 60 * int(hours) + int(past)


def pounds(pence: int) -> str:
    """An amount as the guide words it: `12.40 pounds`."""
    return f"{pence // 100}.{pence % 100:02d} pounds"
