"""Invented venues, towns and times for the synthetic conversations.

Most are made up anew for each conversation, so that names must be copied and cannot be learnt; some are the demo
town's own.
"""

from __future__ import annotations

import csv
import random
from functools import cache
from importlib import resources

from coalm_lite.types import JsonObject, JsonValue
from nano import phrases as say

AREAS = ("north", "south", "east", "west", "centre")
PRICES = ("cheap", "moderate", "expensive")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ONSETS = (
    "", "", *"bcdfghjklmnprstvwz",
    "bl", "br", "ch", "cl", "cr", "dr", "fl", "gr", "pl", "pr", "sh", "st", "th", "tr",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "a", "e", "i", "o", "ea", "ee", "ie", "oo", "ou", "y")
_CODAS = ("", "", "", "n", "r", "l", "s", "t", "m", "nd", "ck", "rt", "x", "ng")
_NAME_FORMS = (
    "{adjective} {noun} {word}", "{adjective} {noun} {word}", "The {adjective} {noun}", "{noun} {word}",
    "{town} {word}", "{surname}'s {word}", "{made_up}'s {word}", "{made_up} {word}", "{made_up} {town}",
    "{noun} and {other}",
)  # fmt: skip
_REFERENCE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class World:
    """One conversation's random town."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.real = rng.random() < 0.3

    def two_towns(self) -> tuple[str, str]:
        """Two different towns' names."""
        if self.real:
            first, second = self.rng.sample(_demo_towns(), 2)
            return first, second
        first = self.made_up_town()
        return first, next(town for town in iter(self.made_up_town, "") if town != first)

    def made_up_town(self) -> str:
        """A town's name that no table has."""
        return self.rng.choice(say.TOWN_STARTS) + self.rng.choice(say.TOWN_MIDDLES) + self.rng.choice(say.TOWN_ENDS)

    def made_up_word(self) -> str:
        """A capitalised word of one to three syllables, of so many kinds that most begin with another token."""
        parts = (self.rng.choice(_ONSETS) + self.rng.choice(_VOWELS) + self.rng.choice(_CODAS) for _ in range(3))
        return "".join(list(parts)[: self.rng.randint(1, 3)]).capitalize()

    def reference(self) -> str:
        """A booking reference."""
        return "".join(self.rng.choices(_REFERENCE_LETTERS, k=6))

    def phone(self) -> str:
        """A telephone number."""
        return f"01632 960{self.rng.randrange(1000):03d}"

    def time(self) -> str:
        """A time of day on a quarter of an hour, mostly in daytime."""
        return f"{self.rng.randint(5, 23):02d}:{self.rng.choice((0, 0, 15, 30, 30, 45)):02d}"

    def car(self) -> JsonObject:
        """A taxi."""
        return {"car": self.rng.choice(say.CARS), "phone": self.phone()}

    def hotel(self, wanted: JsonObject) -> JsonObject:
        """A hotel that has the wanted values."""
        return self._venue("hotels", wanted) or {
            "name": self._name(say.HOTEL_WORDS), "type": self.rng.choice(("hotel", "guest house")),
            "area": self.rng.choice(AREAS), "pricerange": self.rng.choice(PRICES), "stars": self.rng.randint(1, 5),
            "parking": self.rng.random() < 0.6, "internet": self.rng.random() < 0.7, "phone": self.phone(),
        } | wanted  # fmt: skip

    def restaurant(self, wanted: JsonObject) -> JsonObject:
        """A restaurant that has the wanted values."""
        return self._venue("restaurants", wanted) or {
            "name": self._name(say.EATING_WORDS), "food": self.rng.choice(say.FOODS).lower(),
            "area": self.rng.choice(AREAS), "pricerange": self.rng.choice(PRICES), "phone": self.phone(),
        } | wanted  # fmt: skip

    def attraction(self, wanted: JsonObject) -> JsonObject:
        """An attraction that has the wanted values."""
        kind = str(wanted.get("type") or self.rng.choice(say.ATTRACTION_TYPES))
        fee = "free" if self.rng.random() < 0.4 else f"{self.rng.randint(2, 20)} pounds"
        return self._venue("attractions", wanted) or {
            "name": self._name((kind.capitalize(),)), "type": kind, "area": self.rng.choice(AREAS),
            "fee": fee, "phone": self.phone(),
        } | wanted  # fmt: skip

    def train(self, wanted: JsonObject) -> JsonObject:
        """A train after (or before) the wanted time."""
        leave = self._shifted(wanted.get("leave_at"), 0, 50)
        arrive = self._shifted(wanted.get("arrive_by"), -40, 0)
        if "arrive_by" in wanted:
            leave = self._shifted(arrive, -90, -15)
        else:
            arrive = self._shifted(leave, 15, 90)
        day = wanted.get("day") or self.rng.choice(DAYS)
        price = f"{self.rng.randint(3, 40)}.{self.rng.choice(('00', '20', '40', '50', '60', '80', '90'))} pounds"
        route: JsonObject = {"departure": wanted["departure"], "destination": wanted["destination"], "day": day}
        return {**route, "leave_at": leave, "arrive_by": arrive, "price": price}

    def _shifted(self, time: JsonValue, low: int, high: int) -> str:
        hours, minutes = str(time or self.time()).split(":")
        total = max(0, min(23 * 60 + 59, int(hours) * 60 + int(minutes) + self.rng.randint(low, high)))
        return f"{total // 60:02d}:{total % 60:02d}"

    def _name(self, words: tuple[str, ...]) -> str:
        form = self.rng.choice(_NAME_FORMS)
        return form.format(
            adjective=self.rng.choice(say.NAME_ADJECTIVES),
            noun=self.rng.choice(say.NAME_NOUNS),
            other=self.rng.choice(say.NAME_NOUNS),
            surname=self.rng.choice(say.SURNAMES),
            town=self.made_up_town(),
            made_up=self.made_up_word(),
            word=self.rng.choice(words),
        )

    def _venue(self, kind: str, wanted: JsonObject) -> JsonObject | None:
        rows = [row for row in _demo_rows(kind) if all(row.get(k) == v for k, v in wanted.items())] if self.real else []
        return dict(self.rng.choice(rows)) if rows else None


@cache
def _demo_rows(kind: str) -> tuple[JsonObject, ...]:
    text = resources.files("coalm_lite.demo").joinpath(f"{kind}.csv").read_text(encoding="utf-8")
    return tuple(_typed(row) for row in csv.DictReader(text.splitlines()))


def _typed(row: dict[str, str]) -> JsonObject:
    typed: JsonObject = {}
    for key, value in row.items():
        if key == "fee_pounds":
            typed["fee"] = "free" if value == "0" else f"{value} pounds"
        else:
            typed[key] = {"yes": True, "no": False}.get(value, int(value) if key == "stars" else value)
    return typed


@cache
def _demo_towns() -> tuple[str, ...]:
    from coalm_lite.demo.timetable import HOME_TOWN

    text = resources.files("coalm_lite.demo").joinpath("lines.csv").read_text(encoding="utf-8")
    return (HOME_TOWN, *(row["town"] for row in csv.DictReader(text.splitlines())))
