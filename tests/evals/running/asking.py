"""A small suite of this test's own: questions of one or two turns, scored by whether something was called."""

from __future__ import annotations

from dataclasses import dataclass

from coalm_lite import dialects
from coalm_lite.errors import OutputError
from coalm_lite.evals.items import FAIL, PASS, Ask, Item, Metric, Outcome, Play, Unit
from coalm_lite.types import Message, ToolSpec

TOWNS = ("Ely", "Norwich", "Leicester", "Stevenage", "Kings Lynn", "Birmingham", "Stansted", "Peterborough")


def find(kind: str, argument: str) -> ToolSpec:
    """A function that looks for something."""
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return ToolSpec(f"find_{kind}", f"Finds a {kind} by its {argument}.", schema)


TOOLS = (find("train", "destination"), find("hotel", "area"))


@dataclass(frozen=True, slots=True)
class Town:
    """What an item asks about, and over how many turns."""

    name: str
    turns: int


class Asking:
    """`count` items, every third of two turns; those of one town are a cluster."""

    def __init__(self, count: int, name: str = "asking", dialect: str = "hammer", tokens: int = 24) -> None:
        self.name = name
        self.dialects = (dialect, "cra")
        self.metrics = (Metric("called", "called", headline=True),)
        self.items = tuple(self._item(number) for number in range(count))
        self.tokens = tokens

    @staticmethod
    def _item(number: int) -> Item:
        town = Town(f"{TOWNS[number % len(TOWNS)]} {number}", 2 if number % 3 == 0 else 1)
        return Item(f"{number:03}", f"turns {town.turns}", f"c{number // 2}", town)

    def play(self, item: Item, dialect: str) -> Play:
        """Asks for a train, and for a hotel after it."""
        town: Town = item.content
        messages = (Message("user", f"A train to {town.name}, please."),)
        units = []
        for turn in range(town.turns):
            answer = yield Ask(dialect, messages, TOOLS, self.tokens)
            try:
                reply = dialects.get(dialect).parse(answer.text)
            except OutputError:
                reply = Message("assistant", answer.text)
            units.append(Unit(f"{item.id}/{turn}", item.stratum, {"called": PASS if reply.calls else FAIL}))
            messages = (
                *messages,
                reply,
                *(Message("tool", "{}") for _ in reply.calls),
                Message("user", "And a hotel?"),
            )
        return Outcome(tuple(units), answer.error)
