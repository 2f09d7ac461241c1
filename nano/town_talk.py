"""Synthetic conversations with the demo tools: a goal, a user who talks about it, a policy that calls or answers.

The policy: search as soon as anything is wanted; offer the first result; book once everything needed was said (at once
when the request came with it), else ask for what is missing; answer questions about an offer from what was observed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

from coalm_lite.types import JsonObject, JsonValue, Message, ToolCall
from nano import phrases as say
from nano.demo_tools import DEMO_TOOLS
from nano.examples import Example, conversation_example
from nano.town_words import Words
from nano.town_world import World

_KEYS = {"hotel": "hotels", "restaurant": "restaurants", "attraction": "attractions", "train": "trains"}
_FOUND = {"hotel": say.FOUND_HOTEL, "restaurant": say.FOUND_RESTAURANT, "attraction": say.FOUND_ATTRACTION}
_BOOKED = {"hotel": say.BOOKED_HOTEL, "restaurant": say.BOOKED_RESTAURANT, "train": say.BOOKED_TRAIN}
_NEEDED = {"hotel": ("people", "day", "stay"), "restaurant": ("people", "day", "time")}


def conversation(rng: random.Random) -> Example:
    """One conversation of one to four errands."""
    return conversation_example(DEMO_TOOLS, _Talk(rng).messages())


class _Talk:
    """A conversation in the making."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.world = World(rng)
        self.words = Words(rng)
        self.said: list[Message] = []
        self.bookings: list[JsonObject] = []

    def messages(self) -> list[Message]:
        self._small_talk()
        errands: list[Callable[[], None]] = [
            self._stay,
            self._meal,
            self._meal,
            self._stay,
            self._sight,
            self._journey,
            self._ride,
        ]
        for errand in self.rng.sample(errands, self.rng.choices((1, 2, 3, 4), (4, 3, 3, 2))[0]):
            errand()
            if self.rng.random() < 0.1:
                self._list_bookings()
            if self.rng.random() < 0.06:
                self._exchange(say.OFF_TOPIC, say.OFF_TOPIC_ANSWERS)
        if self.rng.random() < 0.8:
            self._exchange(say.THANKS, say.THANKS_ANSWERS)
        return self.said

    def _small_talk(self) -> None:
        if self.rng.random() < 0.2:
            self._exchange(say.GREETINGS, say.GREETING_ANSWERS)
        if self.rng.random() < 0.05:
            self._exchange(say.ABILITY_QUESTIONS, say.ABILITY_ANSWERS)
        if self.rng.random() < 0.05:
            self._exchange(say.OFF_TOPIC, say.OFF_TOPIC_ANSWERS)

    # What is said and done

    def _user(self, text: str) -> None:
        self.said.append(Message("user", self.words.mangled(text)))

    def _answer(self, options: Sequence[str], values: JsonObject | None = None) -> None:
        self.said.append(Message("assistant", self.rng.choice(options).format(**(values or {}))))

    def _exchange(self, questions: Sequence[str], answers: Sequence[str]) -> None:
        self._user(self.rng.choice(questions))
        self._answer(answers)

    def _call(self, name: str, arguments: JsonObject, result: JsonObject) -> None:
        self.said.append(Message("assistant", calls=(ToolCall(name, _in_order(name, arguments)),)))
        self.said.append(Message("tool", json.dumps(result, ensure_ascii=False)))

    def _open(self, thing: str) -> str:
        first = not any(message.calls for message in self.said)
        options = say.OPENERS if first or self.rng.random() < 0.5 else say.FOLLOW_OPENERS
        return self.rng.choice(options).format(x=thing)

    # Searching

    def _find(self, kind: str, wanted: JsonObject, empty: bool = False) -> list[JsonObject]:
        make = {"hotel": self.world.hotel, "restaurant": self.world.restaurant, "attraction": self.world.attraction}[
            kind
        ]
        rows = [] if empty else [make(wanted) for _ in range(self.rng.choice((1, 1, 2, 3)))]
        rows = list({str(row["name"]): row for row in rows}.values())
        count = len(rows) if len(rows) < 3 else self.rng.randint(3, 12)
        self._call(f"find_{_KEYS[kind]}", wanted, {"count": count, _KEYS[kind]: list(rows)})
        return rows

    def _offer(self, kind: str, rows: list[JsonObject]) -> None:
        count = len(rows)
        options = [text for text in _FOUND[kind] if count > 1 or "{count}" not in text]
        counted = json.loads(self.said[-1].text)["count"]
        self._answer(options, {**rows[0], "count": counted})

    def _relax(self, kind: str, wanted: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
        """After a search without result the user changes or drops one wish, and the search is made again."""
        self._answer(say.FOUND_NOTHING, {"thing": kind})
        wanted = dict(wanted)
        key = self.rng.choice([key for key in ("area", "pricerange", "food", "type") if key in wanted])
        if key in ("area", "pricerange") and len(wanted) > 1 and self.rng.random() < 0.4:
            self._user(self.rng.choice(say.ASK_AREA_ANY if key == "area" else say.ASK_PRICE_ANY))
            del wanted[key]
        else:
            value = self.words.another(key, wanted[key])
            self._user(self.rng.choice(say.CHANGES).format(x=self.words.value(key, value)))
            wanted[key] = value
        return wanted, self._find(kind, wanted)

    def _questions(self, row: JsonObject) -> None:
        if self.rng.random() < 0.12:
            self._user(self.rng.choice(say.PHONE))
            self._answer(say.PHONE_ANSWERS, row)
        if self.rng.random() < 0.06:
            self._user(self.rng.choice(say.WHICH_AREA))
            self._answer(say.WHICH_AREA_ANSWERS, row)

    def _search(self, kind: str, wanted: JsonObject) -> JsonObject:
        """Search, offer, sometimes search again; the venue that stands at the end."""
        empty = self.rng.random() < 0.12 and bool({"area", "pricerange", "food"} & wanted.keys())
        rows = self._find(kind, wanted, empty)
        if empty:
            wanted, rows = self._relax(kind, wanted)
        self._offer(kind, rows)
        if len(rows) > 1 and self.rng.random() < 0.15:
            rows = rows[1:]
            self._user(self.rng.choice(say.OTHER_ONE))
            self._answer([text for text in _FOUND[kind] if "{count}" not in text], rows[0])
        self._questions(rows[0])
        return rows[0]

    # Errands

    def _stay(self) -> None:
        wanted, thing = self.words.hotel()
        self._errand("hotel", wanted, thing, say.ASK_HOTEL)

    def _meal(self) -> None:
        wanted, thing = self.words.restaurant()
        self._errand("restaurant", wanted, thing, say.ASK_RESTAURANT)

    def _errand(self, kind: str, wanted: JsonObject, thing: str, question: str) -> None:
        details = self.words.details(_NEEDED[kind])
        style = self.rng.random()
        if style < 0.1:  # a venue known by name, booked without a search
            self._book_by_name(kind, details)
            return
        if style < 0.35:  # everything in one sentence
            opener = self.rng.choice(say.BOOK_OPENERS).format(x=thing) if self.rng.random() < 0.4 else self._open(thing)
            self._user(f"{opener.rstrip('.?!')} {self.words.told(kind, details)}")
            rows = self._find(kind, wanted)
            self._book(kind, {"name": rows[0]["name"], **details})
            return
        self._user(self._open(thing))
        venue = self._search(kind, wanted)
        if self.rng.random() < 0.2:
            self._exchange(say.DECLINE, say.DECLINE_ANSWERS)
            return
        accept = say.NAMED_ACCEPT if self.rng.random() < 0.15 else say.ACCEPT if kind == "hotel" else say.ACCEPT_TABLE
        self._details(kind, self.rng.choice(accept).format(name=venue["name"]), details, question)
        self._book(kind, {"name": venue["name"], **details})

    def _details(self, kind: str, accept: str, details: JsonObject, question: str) -> None:
        """The user accepts and tells the details: at once, in part, or when asked."""
        style = self.rng.random()
        if style < 0.6:
            self._user(f"{accept.rstrip('.?!')} {self.words.told(kind, details)}")
            return
        given = [key for key in details if style > 0.8 and self.rng.random() < 0.5]
        if len(given) == len(details):
            given = given[:-1]
        told = self.words.told(kind, {key: details[key] for key in given})
        self._user(f"{accept.rstrip('.?!')} {told}" if told else accept)
        missing = [key for key in details if key not in given]
        self._answer([question] if len(missing) == len(details) else [say.ASK_MISSING[missing[0]]])
        for index, key in enumerate(missing if given else []):
            self._user(self.words.told(kind, {key: details[key]}))
            if index + 1 < len(missing):
                self._answer([say.ASK_MISSING[missing[index + 1]]])
        if not given:
            self._user(self.words.told(kind, details))

    def _book_by_name(self, kind: str, details: JsonObject) -> None:
        venue = (self.world.hotel if kind == "hotel" else self.world.restaurant)({})
        venue["name"] = self.words.typed(str(venue["name"]))
        accept = self.rng.choice(
            ("Book {name}", "I want to book {name}", "Please book {name}", "a table at {name}", "Reserve {name}")
            if kind == "restaurant"
            else ("Book {name}", "I want to stay at {name}", "Please book {name}", "a room at {name}", "Reserve {name}")
        )
        self._details(
            kind, accept.format(name=venue["name"]), details, say.ASK_HOTEL if kind == "hotel" else say.ASK_RESTAURANT
        )
        self._book(kind, {"name": venue["name"], **details})

    def _book(self, kind: str, arguments: JsonObject, extra: JsonObject | None = None) -> None:
        if self.rng.random() < 0.03:
            error = f"nothing is free on {arguments.get('day', 'that day')}"
            self._call(f"book_{kind}", arguments, {"error": f"ValueError: {error}"})
            self._answer(say.FAILED, {"error": error})
            return
        ordered = _in_order(f"book_{kind}", arguments)
        result: JsonObject = {"reference": self.world.reference(), **ordered, **(extra or {})}
        self._call(f"book_{kind}", arguments, result)
        people = result.get("people")
        shown = {**result, "people": "1 person" if people == 1 else f"{people} people"}
        self._answer(_BOOKED[kind], shown)
        self.bookings.append({"kind": kind, **result})

    def _sight(self) -> None:
        wanted, thing = self.words.attraction()
        self._user(self._open(thing))
        self._search("attraction", wanted)

    def _journey(self) -> None:
        home, other = (self.words.typed(town) for town in self.world.two_towns())
        wanted, thing = self.words.train(home, other)
        self._user(self._open(thing))
        known = {"departure": home, "destination": other, **wanted}
        row = self.world.train(known)
        rows = [row, *(self.world.train(known) for _ in range(self.rng.randint(0, 2)))]
        self._call("find_trains", wanted, {"count": self.rng.randint(len(rows), 20), "trains": list(rows)})
        if "day" not in wanted:
            row = self._ask_day(wanted, known)
        self._answer(say.FOUND_TRAIN, row)
        if self.rng.random() < 0.35:
            return
        people = self.words.people()
        told = self.words.told("train", {"people": people}) if people > 1 or self.rng.random() < 0.5 else ""
        self._user(f"{self.rng.choice(say.ACCEPT_TRAIN).rstrip('.?!')} {told}".strip())
        seats: JsonObject = {key: row[key] for key in ("departure", "destination", "day", "leave_at")}
        self._book("train", {**seats, "people": people}, {"price": row["price"]})

    def _ask_day(self, wanted: JsonObject, known: JsonObject) -> JsonObject:
        """Trains were found without a day: the user is asked for it, and the search made again with it."""
        self._answer(say.FOUND_TRAIN_NO_DAY, json.loads(self.said[-1].text)["trains"][0])
        day = self.words.day()
        self._user(self.words.on_day(day))
        row = self.world.train({**known, "day": day})
        self._call("find_trains", {**wanted, "day": day}, {"count": 1, "trains": [row]})
        return row

    def _ride(self) -> None:
        places = list(dict.fromkeys(self._place() for _ in range(4)))[:2]
        places += [self.words.typed(self.world.made_up_town())] * (2 - len(places))
        key = self.rng.choice(("leave_at", "arrive_by"))
        time = self.world.time()
        when = self.words.time_phrase(key, time)
        route = f"from {places[0]} to {places[1]}"
        thing = self.rng.choice(say.TAXIS)
        if self.rng.random() < 0.3:
            self._user(self._open(f"{thing} {route}"))
            self._answer([say.ASK_MISSING["when"]])
            self._user(when)
        else:
            self._user(self._open(self.rng.choice((f"{thing} {route} {when}", f"{thing} {when} {route}"))))
        arguments: JsonObject = {"departure": places[0], "destination": places[1], key: time}
        result: JsonObject = {"reference": self.world.reference(), **self.world.car(), **arguments}
        self._call("book_taxi", arguments, result)
        self._answer(say.BOOKED_TAXI, result)
        self.bookings.append({"kind": "taxi", **result})

    def _place(self) -> str:
        named = [row["name"] for row in self.bookings if "name" in row]
        if named and self.rng.random() < 0.6:
            return self.words.typed(str(self.rng.choice(named)))
        return self.words.typed(
            str(self.world.hotel({})["name"] if self.rng.random() < 0.5 else self.world.attraction({})["name"])
        )

    def _list_bookings(self) -> None:
        self._user(self.rng.choice(say.BOOKINGS))
        self._call("my_bookings", {}, {"count": len(self.bookings), "bookings": list(self.bookings)})
        if not self.bookings:
            self._answer(say.BOOKINGS_NONE)
        elif len(self.bookings) == 1:
            self._answer(say.BOOKINGS_ONE, self.bookings[0])
        else:
            self._answer(say.BOOKINGS_SOME, {"count": len(self.bookings), "reference": self.bookings[0]["reference"]})


def _in_order(name: str, arguments: JsonObject) -> JsonObject:
    """The arguments in the order of the tool's signature."""
    properties = next(spec.parameters["properties"] for spec in DEMO_TOOLS if spec.name == name)
    assert isinstance(properties, dict)
    ordered: dict[str, JsonValue] = {key: arguments[key] for key in properties if key in arguments}
    return ordered
