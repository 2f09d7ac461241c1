"""How the synthetic user words wishes, details, times and typing habits; returns the meaning beside the words."""

from __future__ import annotations

import random
from collections.abc import Sequence

from coalm_lite.types import JsonObject, JsonValue
from nano import phrases as say
from nano.town_world import AREAS, DAYS, PRICES

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Words:
    """One user's wording."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lower = rng.random() < 0.35
        self.bare = rng.random() < 0.3

    def mangled(self, text: str) -> str:
        """`text` as this user types: perhaps in lower case, perhaps without final punctuation."""
        text = text.lower() if self.lower else text
        return text.rstrip(".!?") if self.bare else text

    def typed(self, name: str) -> str:
        """A name as this user types it, and so as a call repeats it."""
        return name.lower() if self.lower else name

    def hotel(self) -> tuple[JsonObject, str]:
        """What is wanted of a hotel, and the noun phrase that says so."""
        wanted: JsonObject = {}
        front: list[str] = []
        tail: list[str] = []
        self._price(wanted, front, tail, 0.5)
        if self.rng.random() < 0.2:
            stars = self.rng.randint(1, 5)
            wanted["stars"] = stars
            front.append(self.rng.choice((f"{stars} star", f"{stars}-star", f"{_NUMBERS[stars]} star")))
        noun = self.rng.choice(say.STAYS)
        if self.rng.random() < 0.25:
            wanted["type"], noun = "guest house", self.rng.choice(say.GUEST_HOUSES)
        self._area(wanted, front, tail, 0.6)
        for key, options, share in (("parking", say.PARKING, 0.35), ("internet", say.INTERNET, 0.25)):
            if self.rng.random() < share:
                wanted[key] = True
                tail.append(self.rng.choice(options))
        return wanted, self._phrase(front, noun, tail)

    def restaurant(self) -> tuple[JsonObject, str]:
        """What is wanted of a restaurant, and the noun phrase that says so."""
        wanted: JsonObject = {}
        front: list[str] = []
        tail: list[str] = []
        self._price(wanted, front, tail, 0.4)
        noun = self.rng.choice(say.PLACES_TO_EAT)
        if self.rng.random() < 0.65:
            food = self.rng.choice(say.FOODS)
            wanted["food"] = food.lower()
            match self.rng.randrange(5):
                case 0:
                    tail.append(f"that serves {food} food")
                case 1:
                    tail.append(f"with {food} food")
                case 2 if not front:
                    noun = f"{food} food"
                case _:
                    front.append(food)
        self._area(wanted, front, tail, 0.55)
        return wanted, self._phrase(front, noun, tail)

    def attraction(self) -> tuple[JsonObject, str]:
        """What is wanted of an attraction, and the noun phrase that says so."""
        wanted: JsonObject = {}
        tail: list[str] = []
        noun = self.rng.choice(say.ATTRACTION_WORDS)
        if self.rng.random() < 0.7:
            noun = self.rng.choice(say.ATTRACTION_TYPES)
            wanted["type"] = noun
        self._area(wanted, [], tail, 0.6)
        return wanted, self._phrase([], noun, tail)

    def train(self, home: str, other: str) -> tuple[JsonObject, str]:
        """What is wanted of a train, and the noun phrase that says so."""
        wanted: JsonObject = {"destination": other}
        parts = [f"to {other}"]
        if self.rng.random() < 0.55:
            wanted["departure"] = home
            parts = [f"from {home} to {other}"] if self.rng.random() < 0.8 else [f"to {other} from {home}"]
        if self.rng.random() < 0.8:
            day = self.day()
            wanted["day"] = day
            parts.append(self.on_day(day))
        if self.rng.random() < 0.75:
            key = self.rng.choice(("leave_at", "leave_at", "arrive_by"))
            time = f"{self.rng.randint(5, 22):02d}:{self.rng.choice((0, 0, 15, 30, 45)):02d}"
            wanted[key] = time
            parts.append(self.time_phrase(key, time))
        if self.rng.random() < 0.3:
            self.rng.shuffle(parts)
        return wanted, f"{self.rng.choice(say.TRAINS)} {' '.join(parts)}"

    def details(self, keys: Sequence[str]) -> JsonObject:
        """Booking details for these keys."""
        made: JsonObject = {
            "people": self.people(),
            "day": self.day(),
            "stay": self.rng.randint(1, 7),
            "time": self._table_time(),
        }
        return {key: made[key] for key in keys}

    def people(self) -> int:
        """A party's size."""
        return self.rng.choice((1, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8))

    def day(self) -> str:
        """A day of the week."""
        return self.rng.choice(DAYS)

    def on_day(self, day: str) -> str:
        """`day` as a phrase."""
        return self.rng.choice(say.ON_DAY).format(day=day.capitalize())

    def told(self, kind: str, details: JsonObject) -> str:
        """The details as one phrase, in any order; empty for none."""
        parts = [self._detail(kind, key, value) for key, value in details.items()]
        self.rng.shuffle(parts)
        joined = self.rng.choice((" ", " ", ", ", " and ")).join(parts[:2])
        return " ".join([joined, *parts[2:]]) if parts else ""

    def time_phrase(self, key: str, time: str) -> str:
        """`time` as a wish to leave after it or arrive by it."""
        options = say.LEAVING if key == "leave_at" else say.ARRIVING
        return self.rng.choice(options).format(t=self._clock(time))

    def another(self, key: str, value: JsonValue) -> JsonValue:
        """A value for `key` that is not `value`."""
        options: dict[str, Sequence[str]] = {
            "area": AREAS, "pricerange": PRICES, "food": [food.lower() for food in say.FOODS],
            "type": say.ATTRACTION_TYPES if value != "guest house" else ("hotel",),
        }  # fmt: skip
        return self.rng.choice([option for option in options[key] if option != value])

    def value(self, key: str, value: JsonValue) -> str:
        """`value` as it is said on its own."""
        text = str(value)
        if key in ("area", "pricerange"):
            return self.rng.choice((say.AREAS if key == "area" else say.PRICES)[text])
        if key == "food":
            food = next(food for food in say.FOODS if food.lower() == text)
            return self.rng.choice((food, f"{food} food", f"something {food}"))
        return f"a {text}"

    def _detail(self, kind: str, key: str, value: JsonValue) -> str:
        if key == "people":
            words = say.ALONE if value == 1 else say.PEOPLE
            return self.rng.choice(words).format(n=self._number(value))
        if key == "stay":
            return (
                self.rng.choice(("for 1 night", "for one night", "1 night", "one night"))
                if value == 1
                else self.rng.choice(say.STAY).format(n=self._number(value))
            )
        if key == "day":
            options = say.DAY if kind == "hotel" else say.ON_DAY
            return self.rng.choice(options).format(day=str(value).capitalize())
        return self.rng.choice(say.AT_TIME).format(t=self._clock(str(value)))

    def _number(self, value: JsonValue) -> str:
        return _NUMBERS[int(str(value))] if self.rng.random() < 0.35 else str(value)

    def _table_time(self) -> str:
        return f"{self.rng.randint(11, 21):02d}:{self.rng.choice((0, 0, 15, 30, 30, 45)):02d}"

    def _clock(self, time: str) -> str:
        """A time on the 24-hour clock, or sometimes as `7 pm`."""
        hour, minute = int(time[:2]), time[3:]
        if self.rng.random() < 0.65 or hour in (0, 12):
            return time if self.rng.random() < 0.8 else f"{hour}:{minute}"
        half = self.rng.choice((" pm", "pm", " PM")) if hour > 12 else self.rng.choice((" am", "am", " AM"))
        return f"{(hour - 1) % 12 + 1}{'' if minute == '00' else ':' + minute}{half}"

    def _price(self, wanted: JsonObject, front: list[str], tail: list[str], share: float) -> None:
        if self.rng.random() > share:
            return
        price = self.rng.choice(PRICES)
        wanted["pricerange"] = price
        if self.rng.random() < 0.8:
            front.append(self.rng.choice(say.PRICES[price]))
        else:
            tail.append(self.rng.choice(say.PRICE_TAILS[price]))

    def _area(self, wanted: JsonObject, front: list[str], tail: list[str], share: float) -> None:
        if self.rng.random() > share:
            return
        area = self.rng.choice(AREAS)
        wanted["area"] = area
        phrase = self.rng.choice(say.AREAS[area])
        if " " in phrase:
            tail.append(phrase)
        else:
            front.insert(0, phrase)

    def _phrase(self, front: list[str], noun: str, tail: list[str]) -> str:
        self.rng.shuffle(tail)
        words = [*front, noun, *tail]
        if self.rng.random() < 0.2 and len(tail) > 1:
            words = [*front, noun, ", ".join(tail)]
        text = " ".join(words)
        article = "an" if text[0].lower() in "aeiou" else "a"
        plain = noun.endswith(("food", "accommodation")) or noun.startswith("somewhere")
        return text if plain or self.rng.random() < 0.12 else f"{article} {text}"
