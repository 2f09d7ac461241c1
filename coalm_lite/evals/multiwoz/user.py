"""A simulated user that works through a goal by rules, one domain after the other; no model, and the same every time.

In a domain it says what it wants, two constraints at a time; answers questions for slots of the domain (known by
keywords; what its goal lacks does not matter to it); asks first for what cannot be had, where the goal says so, then
for the other; says so when an offer does not fit, the second time with all that it wants; asks for the requested
details; wants the booking with all details, and its second choice where the first is refused; then comes to the next
domain. Every wish is put a few times at most: what is not met by then is given up. It knows from the record what is
booked, and ends without a last word.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coalm_lite.evals.multiwoz.goals import DomainGoal
from coalm_lite.evals.multiwoz.judging import booked_right, untold
from coalm_lite.evals.multiwoz.rows import fits
from coalm_lite.evals.multiwoz.talk import Talk
from coalm_lite.evals.multiwoz.wording import BOOKING_ASKED, Wording, questions, slots_asked
from coalm_lite.types import JsonObject

AT_ONCE = 2
MAX_NUDGES, MAX_OBJECTIONS, MAX_REQUESTS, MAX_BOOKING_WISHES = 2, 2, 2, 2
_SEARCHED = {
    "hotel": ("area", "pricerange", "type", "stars", "parking", "internet"),
    "restaurant": ("area", "pricerange", "food"),
    "attraction": ("area", "type"),
    "train": ("departure", "destination", "day", "leave_at", "arrive_by"),
    "taxi": ("departure", "destination", "leave_at", "arrive_by"),
}


@dataclass(slots=True)
class _Visit:
    """How far the user is in one domain. `wanted`, `booking`: what it asks for now."""

    goal: DomainGoal
    wanted: JsonObject
    booking: JsonObject
    said: set[str] = field(default_factory=set)
    waived: set[str] = field(default_factory=set)
    nudges: int = 0
    objections: int = 0
    requests: int = 0
    booking_wishes: int = 0
    refused_booking: bool = False


class User:
    """The user of one conversation. `seed` decides the wording."""

    def __init__(self, talk: Talk, seed: str) -> None:
        self._talk = talk
        self._wording = Wording(seed)
        self._left = list(talk.goal.domains)
        self._visit = self._next_visit()
        self._last = ""

    @property
    def domain(self) -> str:
        """The domain that is being talked about."""
        return self._visit.goal.domain

    def opening(self) -> str:
        """The first words."""
        self._last = self._open(first=True)
        return self._last

    def reply(self, words: str) -> str | None:
        """What the user says to the system's words, which the record has heard; None when it is done."""
        if not words.strip():
            return f"Sorry, I did not get that. {self._last}"
        answer = self._answer(words)
        refusal = "" if answer else self._no_booking(words)
        wish = answer or self._next_wish()
        if wish is None:
            return None
        self._last = wish
        return f"{refusal} {wish}".lstrip()

    def _answer(self, words: str) -> str:
        """Answers to what the system asked for; "" where it asked nothing that is still open."""
        visit = self._visit
        asked = [slot for slot in slots_asked(words, _SEARCHED[self.domain]) if slot not in visit.said | visit.waived]
        told = {slot: visit.wanted[slot] for slot in asked if slot in visit.wanted}
        if told:
            visit.said |= told.keys()
            return self._wording.more(self.domain, told)
        if visit.booking and _asks_for_booking(words):
            return ""
        waived = [slot for slot in asked if slot not in visit.wanted]
        visit.waived |= set(waived)
        return self._wording.no_matter(waived) if waived and not self._unsaid() and not self._offer() else ""

    def _no_booking(self, words: str) -> str:
        """That no booking is wanted, once, where the system asks about one in vain."""
        visit = self._visit
        if visit.goal.booking or visit.refused_booking or self.domain == "taxi" or not _asks_for_booking(words):
            return ""
        visit.refused_booking = True
        return self._wording.no_booking()

    def _next_wish(self) -> str | None:
        """The next thing that is wanted, in this domain or the next; None when nothing is left."""
        wish = self._wish()
        if wish:
            return wish
        if not self._left:
            return None
        self._visit = self._next_visit()
        return f"{self._wording.thanks()} {self._open(first=False)}"

    def _wish(self) -> str:
        if unsaid := self._unsaid():
            return self._wording.more(self.domain, self._say(unsaid))
        if self._visit.wanted is not self._visit.goal.wanted and self.domain != "taxi":
            return self._second_choice()
        if self.domain == "taxi":
            return self._booking_wish() or self._request()
        return self._about_offer() or (self._request() or self._booking_wish() if self._offer() else "")

    def _about_offer(self) -> str:
        """A nudge where nothing is named, an objection where the offer does not fit, while there is patience."""
        visit, offered = self._visit, self._talk.offered.get(self.domain, [])
        unnamed = self.domain not in self._talk.named and "name" not in visit.wanted
        if ((unnamed and self._offer()) or not offered) and visit.nudges < MAX_NUDGES:
            visit.nudges += 1
            return self._wording.nudge(self.domain)
        if offered and not self._offer() and visit.objections < MAX_OBJECTIONS:
            visit.objections += 1
            wrong = {slot: value for slot, value in visit.wanted.items() if not fits(offered[0], {slot: value})}
            return self._wording.objection(self.domain, wrong if visit.objections == 1 else visit.wanted)
        return ""

    def _second_choice(self) -> str:
        """The constraints that are new after the first ones were in vain."""
        visit = self._visit
        changed = {slot: value for slot, value in visit.goal.wanted.items() if visit.wanted.get(slot) != value}
        visit.wanted, visit.said = visit.goal.wanted, set(visit.goal.wanted)
        return self._wording.instead(changed or visit.wanted)

    def _request(self) -> str:
        visit = self._visit
        missing = untold(self._talk, visit.goal)
        if not missing or visit.requests >= MAX_REQUESTS:
            return ""
        visit.requests += 1
        return self._wording.request(self._name("name"), missing)

    def _booking_wish(self) -> str:
        visit = self._visit
        wanted = bool(visit.booking) or self.domain == "taxi"
        if not wanted or booked_right(self._talk, visit.goal) or visit.booking_wishes >= MAX_BOOKING_WISHES:
            return ""
        visit.booking_wishes += 1
        if self.domain == "taxi":
            return self._wording.opening("taxi", visit.wanted, first=True)
        if self.domain in self._talk.refused and visit.booking is not visit.goal.booking:
            changed = {slot: value for slot, value in visit.goal.booking.items() if visit.booking[slot] != value}
            visit.booking = visit.goal.booking
            return self._wording.other_booking(changed)
        return self._wording.booking(self.domain, self._name("name", "leave_at"), visit.booking)

    def _open(self, first: bool) -> str:
        return self._wording.opening(self.domain, self._say(self._unsaid()), first)

    def _say(self, slots: JsonObject) -> JsonObject:
        """The first few of what is not said yet, from now on said."""
        told = dict(list(slots.items())[: len(slots) if self.domain == "taxi" else AT_ONCE])
        self._visit.said |= told.keys()
        return told

    def _unsaid(self) -> JsonObject:
        visit = self._visit
        return {slot: value for slot, value in visit.wanted.items() if slot not in visit.said}

    def _name(self, *keys: str) -> str:
        """The name of the offer, as far as it was told one."""
        offer = self._offer() if self.domain in self._talk.named else []
        return next((str(offer[0][key]) for key in keys if offer and key in offer[0]), "")

    def _offer(self) -> list[JsonObject]:
        return self._talk.fitting(self.domain)

    def _next_visit(self) -> _Visit:
        goal = self._left.pop(0)
        wanted = goal.first_wanted or goal.wanted
        if goal.domain == "taxi":
            departure, destination = self._talk.ends_of_ride()
            wanted = {"departure": departure, "destination": destination, **goal.wanted}
        known = {slot: value for slot, value in wanted.items() if value != ""}
        return _Visit(goal, known if known != wanted else wanted, goal.first_booking or goal.booking)


def _asks_for_booking(words: str) -> bool:
    return any(BOOKING_ASKED.search(question) for question in questions(words))
