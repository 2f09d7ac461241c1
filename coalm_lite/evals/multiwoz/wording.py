"""What the simulated user says, written for this project: sentences for each act, one drawn where there are several.

Also the words by which it knows what a question asks for. Values stand as the tools take them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence

from coalm_lite.types import JsonObject, JsonValue

_OPENINGS = {
    "hotel": ("I am looking for {a} to stay at", "I need {a} to stay at", "Can you help me find {a} to stay at"),
    "restaurant": (
        "I am looking for a restaurant",
        "I would like to find a restaurant",
        "Can you find me a restaurant",
    ),
    "attraction": ("I am looking for an attraction", "I want to visit an attraction", "Can you suggest an attraction"),
    "train": ("I need a train", "I am looking for a train", "Can you find me a train"),
    "taxi": ("I need a taxi", "Please book a taxi", "I would like a taxi"),
}
_FURTHER = {"taxi": ("I want it", "I need it"), "train": ("I need a train", "I would like a train")}
_PHRASES = {
    "area": "in the {}", "pricerange": "in the {} price range", "food": "that serves {} food", "name": "called {}",
    "stars": "with {} stars", "departure": "from {}", "destination": "to {}", "day": "on {}",
    "leave_at": "leaving after {}", "arrive_by": "arriving by {}",
}  # fmt: skip
_FEATURES = {"parking": ("with free parking", "without parking"), "internet": ("with free wifi", "without internet")}
_NAMES = {
    "phone": "the phone number", "postcode": "the postcode", "address": "the address", "fee": "the entrance fee",
    "area": "the area it is in", "type": "what type it is", "pricerange": "the price range", "stars": "the star rating",
    "parking": "whether it has parking", "internet": "whether it has internet", "food": "the kind of food",
    "train_id": "the train ID", "duration": "the travel time", "price": "the price", "car": "the car type",
    "leave_at": "the departure time", "arrive_by": "the arrival time",
}  # fmt: skip
_ASKED = {
    "area": r"\b(area|part of town|side of town|location|where)\b",
    "pricerange": r"\b(price|budget|cheap|expensive)",
    "food": r"\b(food|cuisine)\b",
    "type": r"\b(types?|kinds?|guest ?houses? or|hotels? or)\b",
    "stars": r"\b(stars?|rating)\b",
    "parking": r"\bparking\b",
    "internet": r"\b(internet|wi-?fi)\b",
    "departure": r"\b(depart\w*|leaving from|coming from|from where|where from|pick(ed)? ?up)\b",
    "destination": r"\b(destination|going|where to|headed|arriving (at|in)|drop(ped)? ?off)\b",
    "day": r"\b(days?|when|dates?)\b",
    "leave_at": r"\b(what time|when|times?|leav\w+|depart)\b",
    "arrive_by": r"\b(what time|when|times?|arriv\w+)\b",
}
BOOKING_ASKED = re.compile(
    r"\b(book|reserv\w+|how many|people|party|guests?|tickets?|nights?|how long|stay\w*|what (day|time)|which day)\b"
)
_NO_MATTER = ("I do not mind about {}.", "I have no preference about {}.", "Anything is fine as for {}.")
_MATTERS = {
    "area": "the area", "pricerange": "the price range", "food": "the food", "type": "the type",
    "stars": "the number of stars", "parking": "parking", "internet": "internet", "day": "the day",
    "leave_at": "the departure time", "arrive_by": "the arrival time",
}  # fmt: skip


class Wording:
    """Sentences in an order that the seed decides."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)

    def opening(self, domain: str, slots: JsonObject, first: bool) -> str:
        """What is wanted in a domain, and the first of it."""
        kind = str(slots.get("type", "")) or {"hotel": "place"}.get(domain, "")
        rest = {slot: value for slot, value in slots.items() if not (domain == "hotel" and slot == "type")}
        start = self._one(_OPENINGS[domain]).format(a=f"a {kind}")
        start = start if first else "Also, " + start[0].replace("C", "c").replace("P", "p") + start[1:]
        mark = "?" if "an you" in start else "."
        return " ".join([start, *map(_phrase, rest, rest.values())]) + mark

    def more(self, domain: str, slots: JsonObject) -> str:
        """Further constraints."""
        start = self._one(_FURTHER.get(domain, ("I would like one", "I want one", "It should be one")))
        return " ".join([start, *map(_phrase, slots, slots.values())]) + "."

    def instead(self, slots: JsonObject) -> str:
        """Other constraints, as the first were in vain."""
        start = self._one(("Then how about one", "In that case, is there one", "All right, what about one"))
        return " ".join([start, *map(_phrase, slots, slots.values())]) + "?"

    def objection(self, domain: str, slots: JsonObject) -> str:
        """The offer is not what was asked for."""
        kind = "a train" if domain == "train" else "one"
        start = self._one(("That is not what I asked for. I need {}", "No, I am looking for {}")).format(kind)
        return " ".join([start, *map(_phrase, slots, slots.values())]) + "."

    def no_matter(self, slots: Sequence[str]) -> str:
        """What was asked about is not in the goal."""
        return self._one(_NO_MATTER).format(_listed([_MATTERS[slot] for slot in slots], "and"))

    def nudge(self, domain: str) -> str:
        """Nothing was offered so far."""
        if domain == "train":
            return self._one(("Which train would that be?", "Which train can you offer me?"))
        return self._one(("Which one would you suggest?", "Can you recommend one?", "Please pick one for me."))

    def request(self, name: str, attributes: Sequence[str]) -> str:
        """A question for details of a venue."""
        asked = _listed([_NAMES.get(each, f"the {each}") for each in attributes], "and")
        start = self._one(("Can you tell me {}{}?", "Could you give me {}{}?", "I would like to know {}{}."))
        return start.format(asked, f" of {name}" if name else "")

    def booking(self, domain: str, name: str, details: JsonObject) -> str:
        """The wish to book, with all details."""
        start = self._one(("Please book", "I would like to book", "Can you book"))
        return f"{start} {_booking(domain, name, details)}" + ("?" if start.startswith("Can") else ".")

    def no_booking(self) -> str:
        """The system asks about a booking, and none is wanted."""
        return self._one(("I do not need a booking.", "There is no need to book.", "No booking, please."))

    def other_booking(self, changed: JsonObject) -> str:
        """Another choice after a booking was refused."""
        parts = {"day": "on {}", "time": "at {}", "stay": "for {} nights", "people": "for {} people"}
        wish = " ".join(parts[slot].format(_number(slot, value)) for slot, value in changed.items())
        return self._one(("How about {} instead?", "Can you try {} then?")).format(wish)

    def thanks(self) -> str:
        """A word before the next wish."""
        return self._one(("Thanks.", "Thank you.", "All right, thanks.", "OK."))

    def _one(self, choices: Sequence[str]) -> str:
        return self._rng.choice(choices)


def questions(words: str) -> list[str]:
    """The sentences of the system's words that are questions, in lower case."""
    sentences = re.findall(r"[^.?!]*[.?!]?", words.lower())
    return [sentence for sentence in sentences if sentence.endswith("?")]


def slots_asked(words: str, slots: Iterable[str]) -> list[str]:
    """Those of `slots` that a question in the system's words asks for."""
    asked = " ".join(questions(words))
    return [slot for slot in slots if slot in _ASKED and re.search(_ASKED[slot], asked)]


def _phrase(slot: str, value: JsonValue) -> str:
    if isinstance(value, bool):
        return _FEATURES[slot][0 if value else 1]
    if slot == "type":
        return f"of the type {value}"
    return "with 1 star" if (slot, value) == ("stars", 1) else _PHRASES[slot].format(value)


def _booking(domain: str, name: str, details: JsonObject) -> str:
    said = {slot: _number(slot, value) for slot, value in details.items()}
    match domain:
        case "hotel":
            wish = f"{name or 'it'}"
        case "restaurant":
            wish = f"a table at {name}" if name else "a table"
        case _:
            wish = f"seats on the train{f' at {name}' if name else ''}"
    parts: Mapping[str, str] = {"people": "for {}", "stay": "for {}", "time": "at {}", "day": "on {}"}
    if domain == "hotel":
        parts = {**parts, "day": "starting on {}"}
    ordered = [slot for slot in ("people", "stay", "time", "day") if slot in said]
    return " ".join([wish, *(parts[slot].format(said[slot]) for slot in ordered)])


def _number(slot: str, value: JsonValue) -> str:
    words = {"people": ("person", "people"), "stay": ("night", "nights")}.get(slot)
    return f"{value} {words[0 if str(value) == '1' else 1]}" if words else str(value)


def _listed(items: Sequence[str], joint: str) -> str:
    return f" {joint} ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)
