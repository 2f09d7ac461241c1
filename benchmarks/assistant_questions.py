"""Questions that are all different, and the tool and values that answer them: for the assistant under stress."""

from __future__ import annotations

import contextvars
import itertools
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
ASKER: contextvars.ContextVar[int] = contextvars.ContextVar("ASKER")


class Table(BaseModel):
    """Book a table at a restaurant."""

    name: str
    people: int
    day: Day
    time: str


@dataclass(frozen=True, slots=True)
class Question:
    """What one turn asks for; no other asks for the same."""

    number: int
    people: int
    day: str
    time: str

    @property
    def text(self) -> str:
        """The words."""
        return f"Book a table at Bella for {self.people} people on {self.day} at {self.time}."

    def is_of(self, arguments: dict[str, object]) -> bool:
        """Whether a call's arguments are this question's."""
        return (arguments["people"], arguments["day"], arguments["time"]) == (self.people, self.day, self.time)


def questions(seed: int) -> Iterator[Question]:
    """All there are, in a random order, over and over."""
    times = [f"{hour}:{minute:02}" for hour in range(11, 23) for minute in (0, 15, 30, 45)]
    everything = list(itertools.product(range(1, 9), get_args(Day), times))
    random.Random(seed).shuffle(everything)
    for number, asked in enumerate(itertools.cycle(everything)):
        yield Question(number, *asked)


class Town:
    """The tool, and for whom each reference was drawn."""

    def __init__(self) -> None:
        self.drawn: dict[str, int] = {}

    def book_restaurant(self, name: str, people: int, day: Day, time: str) -> dict[str, object]:
        """Book a table at a restaurant.

        Args:
            name: name of the restaurant
            people: number of people
            day: day of the week
            time: time as HH:MM
        """
        reference = secrets.token_hex(3).upper()
        self.drawn[reference] = ASKER.get()
        return {"reference": reference, "name": name, "people": people, "day": day, "time": time}
