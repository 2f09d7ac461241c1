"""A dialogue's published goal as the simulated user works through it, domain by domain.

Read from `goal`: for each domain `info` (constraints), `fail_info` (what to ask for first, in vain), `book`,
`fail_book` (a booking that is refused first) and `reqt` (what to ask about), and `message`, the task in words, for the
order of the domains and for which two places a taxi runs between. A `fail_info` that the database can meet is left out:
asking for it would not be in vain. Not covered: hospital and police.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from coalm_lite.evals.multiwoz.rows import ARGUMENT_NAMES, value_of
from coalm_lite.evals.multiwoz.states import SLOTS
from coalm_lite.evals.multiwoz.town import Town
from coalm_lite.types import JsonObject, JsonValue

_BOOKING = ("people", "day", "stay", "time")
_TAGS = re.compile(r"<[^>]*>")
_SAID = {
    "hotel": r"place to stay|hotel|guesthouse",
    "restaurant": r"place to dine|restaurant",
    "attraction": r"places to go|attraction",
    "train": r"train\b",
}


@dataclass(frozen=True, slots=True)
class DomainGoal:
    """What is wanted in one domain, by argument name. `first_*`: what is asked for before, in vain; empty if nothing.

    `between`: the domains whose venues a taxi runs from and to, where the goal names no places.
    """

    domain: str
    wanted: JsonObject
    first_wanted: JsonObject = field(default_factory=dict)
    booking: JsonObject = field(default_factory=dict)
    first_booking: JsonObject = field(default_factory=dict)
    requested: tuple[str, ...] = ()
    between: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """The domains in the order in which the user comes to them, a taxi last."""

    domains: tuple[DomainGoal, ...]

    def of(self, domain: str) -> DomainGoal | None:
        """The goal in a domain, if there is one."""
        return next((each for each in self.domains if each.domain == domain), None)


def read_goal(raw: Mapping[str, JsonValue], town: Town) -> Goal:
    """The goal of a dialogue; without domains where it has none that is covered."""
    messages = raw.get("message")
    told = [_TAGS.sub("", str(line)) for line in messages] if isinstance(messages, list) else []
    opened = [line for line in told if re.search(r"looking for (a|places)\b", line)]
    present = [domain for domain in SLOTS if _object(raw.get(domain)).get("info")]
    ordered = sorted(present, key=lambda domain: _first_said(domain, opened))
    return Goal(tuple(_domain_goal(domain, _object(raw[domain]), told, ordered, town) for domain in ordered))


def _domain_goal(domain: str, raw: JsonObject, told: list[str], present: list[str], town: Town) -> DomainGoal:
    wanted = _arguments(_object(raw.get("info")))
    first = _arguments(_object(raw.get("fail_info")))
    vain = bool(first) and domain != "taxi" and first != wanted and not town.matching(domain, first)
    booking = _booking(_object(raw.get("book")))
    refused = {**booking, **_booking(_object(raw.get("fail_book")))} if booking else {}
    requested = raw.get("reqt")
    return DomainGoal(
        domain,
        wanted,
        first_wanted=first if vain else {},
        booking=booking,
        first_booking=refused if refused != booking else {},
        requested=tuple(ARGUMENT_NAMES.get(str(s), str(s)) for s in requested) if isinstance(requested, list) else (),
        between=_between(wanted, told, present) if domain == "taxi" else (),
    )


def _between(wanted: JsonObject, told: list[str], present: list[str]) -> tuple[str, ...]:
    """The domains that a taxi runs from and to: `leave the hotel`, `arrives the restaurant` say which is which."""
    if {"departure", "destination"} <= wanted.keys():
        return ()
    venues = [domain for domain in present if domain in ("hotel", "restaurant", "attraction")]
    for verb, position in (("leave", 0), ("arrives?", 1)):
        said = re.search(rf"{verb} the (hotel|restaurant|attraction)", " ".join(told))
        other = next((domain for domain in venues if said and domain != said[1]), "")
        if said and other:
            return (said[1], other) if position == 0 else (other, said[1])
    return tuple(venues[:2])


def _first_said(domain: str, told: list[str]) -> int:
    if domain not in _SAID:
        return len(told) + 1
    return next((n for n, line in enumerate(told) if re.search(_SAID[domain], line)), len(told))


def _arguments(slots: JsonObject) -> JsonObject:
    return {ARGUMENT_NAMES.get(slot, slot): value_of(slot, value) for slot, value in slots.items()}


def _booking(slots: JsonObject) -> JsonObject:
    return {slot: value_of(slot, slots[slot]) for slot in _BOOKING if slots.get(slot)}


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
