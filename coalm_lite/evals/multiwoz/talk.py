"""A conversation with the simulated user as it is recorded: what was booked, found, offered and said, by domain.

What stands as the offer in a domain: what was booked or named last. Named are the venues of the last words that named
any while the domain was talked about; a train by its number, or by the departure time of one that a search showed.
Where words followed a search and named nothing, all that it showed is the offer, unless that holds what stands already.
A booking that the goal wants refused is refused here: the databases do not say what is sold out.
"""

from __future__ import annotations

import json
from collections import defaultdict

from coalm_lite.evals.multiwoz import rows
from coalm_lite.evals.multiwoz.goals import Goal
from coalm_lite.evals.multiwoz.town import PLURALS, Town
from coalm_lite.tools import Tool, Toolbox, tool_from_function
from coalm_lite.types import JsonObject, JsonValue, Observation, ToolCall

_LISTED_BOOKINGS = 10


class Talk:
    """The record of one conversation, and the tools that write it."""

    def __init__(self, goal: Goal, town: Town, tools: tuple[Tool, ...]) -> None:
        self.goal = goal
        self.said: dict[str, list[str]] = defaultdict(list)
        self.offered: dict[str, list[JsonObject]] = {}
        self.named: set[str] = set()  # domains whose offer was named or booked, not only found
        self.refused: set[str] = set()
        self.booked: dict[str, JsonObject] = {}
        self.booked_rows: dict[str, list[JsonObject]] = {}
        self._bookings: list[JsonObject] = []
        self._found: dict[str, list[JsonObject]] = {}
        self._fresh: set[str] = set()  # domains searched since the last words
        self._town = town
        self._box = Toolbox((*tools, tool_from_function(self.my_bookings)))

    @property
    def toolbox(self) -> Toolbox:
        """What the model may call."""
        return self._box

    def my_bookings(self) -> JsonObject:
        """List the bookings made so far."""
        listed: list[JsonValue] = list(self._bookings[-_LISTED_BOOKINGS:])
        return {"count": len(self._bookings), "bookings": listed}

    def call(self, call: ToolCall) -> Observation:
        """What came of a call; bookings and results are recorded."""
        domain = call.name.removeprefix("book_")
        if domain != call.name and (problem := self._refusal(domain, call)):
            self.refused.add(domain)
            return Observation(call, json.dumps({"error": problem}), ok=False)
        observation = self._box.run(call)
        if observation.ok:
            self._record(call.name, json.loads(observation.text))
        return observation

    def _refusal(self, domain: str, call: ToolCall) -> str:
        goal = self.goal.of(domain)
        first = goal.first_booking if goal else {}
        if not first or any(str(call.arguments.get(slot)) != str(value) for slot, value in first.items()):
            return ""
        assert goal is not None
        changed = [f"{slot} {value}" for slot, value in first.items() if goal.booking.get(slot) != value]
        return f"nothing is free for {' and '.join(changed)}: another choice may be"

    def _record(self, name: str, result: JsonObject) -> None:
        for domain, plural in PLURALS.items():
            rows_found = result.get(plural)
            if isinstance(rows_found, list) and rows_found:
                self._found[domain] = [row for row in rows_found if isinstance(row, dict)]
                self._fresh.add(domain)
        domain = name.removeprefix("book_")
        if domain == name:
            return
        self.booked[domain] = result
        self._bookings.append({"kind": domain, **result})
        if domain in PLURALS:
            self.named.add(domain)
            self._fresh.discard(domain)
            self.booked_rows[domain] = [row for row in self._town.rows[domain] if _is(row, result)]
            self.offered[domain] = self.booked_rows[domain]

    def hear(self, domain: str, words: str) -> None:
        """Records what the system said while `domain` was being talked about."""
        self.said[domain].append(words)
        found = self._found.get(domain, [])
        named = rows.trains_in(words, found) if domain == "train" else self._named(domain, words)
        if named:
            self.offered[domain] = named
            self.named.add(domain)
        elif domain in self._fresh and not any(row in found for row in self.offered.get(domain, ())):
            self.offered[domain] = found
            self.named.discard(domain)
        self._fresh.discard(domain)

    def _named(self, domain: str, words: str) -> list[JsonObject]:
        return rows.named_in(words, self._town.rows.get(domain, ()))

    def fitting(self, domain: str) -> list[JsonObject]:
        """The offered venues that have everything that the goal wants."""
        goal = self.goal.of(domain)
        return [row for row in self.offered.get(domain, ()) if goal and rows.fits(row, goal.wanted)]

    def words(self, domain: str) -> str:
        """All that the system said in a domain."""
        return "\n".join(self.said[domain])

    def ends_of_ride(self) -> tuple[str, str]:
        """Where the taxi is wanted from and to: as the goal names it, or the names of the venues offered by then."""
        taxi = self.goal.of("taxi")
        if taxi is None:
            return "", ""
        known = [self._venue_name(domain) for domain in taxi.between] + ["", ""]
        departure, destination = taxi.wanted.get("departure") or known[0], taxi.wanted.get("destination") or known[1]
        return str(departure), str(destination)

    def _venue_name(self, domain: str) -> str:
        offered = self.fitting(domain) or self.offered.get(domain, [])
        return str(offered[0]["name"]) if offered else ""


def _is(row: JsonObject, booking: JsonObject) -> bool:
    keys = ("name",) if "name" in row else ("train_id", "departure", "destination", "day", "leave_at")
    return all(row[key] == booking.get(key) for key in keys)
