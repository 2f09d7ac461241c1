"""MultiWOZ's published databases as tools: the names, arguments and results of coalm-lite's demo guide.

`db/{hotel,restaurant,attraction,train,taxi}_db.json`, plain or gzipped. A search wants every given argument: kinds and
choices equal without case and spacing, names in full or in part, trains that leave at `leave_at` or later and arrive by
`arrive_by`. It shows two results at most, with everything that a goal may ask for. What a booking gives depends on
the request alone, reference numbers too: equal calls give equal results in every run. Not covered: hospital, police.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from coalm_lite.demo import names
from coalm_lite.demo.fields import DAYS, Area, Day, HotelType, PriceRange, clock, minutes, place, whole_number
from coalm_lite.errors import StoreError
from coalm_lite.evals.data.files import read_json
from coalm_lite.evals.multiwoz.rows import fits, shown_row
from coalm_lite.types import JsonObject, JsonValue

SHOWN_RESULTS = 2  # each with all its attributes; small models have small contexts
PLURALS = {"hotel": "hotels", "restaurant": "restaurants", "attraction": "attractions", "train": "trains"}
_MAX_PEOPLE, _MAX_NIGHTS = 20, 30


class Town:
    """The rows of each domain, and the functions over them that a model may call."""

    def __init__(self, rows: Mapping[str, Iterable[JsonObject]], cars: Iterable[str]) -> None:
        self.rows = {domain: tuple(shown_row(domain, row) for row in rows[domain]) for domain in PLURALS}
        self._names = {domain: [str(row.get("name", "")) for row in found] for domain, found in self.rows.items()}
        self._towns = sorted({str(row["departure"]) for row in self.rows["train"]})
        self._cars = tuple(cars)

    @property
    def functions(self) -> tuple[Callable[..., JsonObject], ...]:
        """The functions in the order in which a prompt lists them."""
        hotels, restaurants = (self.find_hotels, self.book_hotel), (self.find_restaurants, self.book_restaurant)
        return (*hotels, *restaurants, self.find_attractions, self.find_trains, self.book_train, self.book_taxi)

    def matching(self, domain: str, wanted: Mapping[str, JsonValue]) -> list[JsonObject]:
        """The rows that have all the wanted values, in the database's order (trains by day and time)."""
        return [row for row in self.rows[domain] if fits(row, wanted)]

    def find_hotels(
        self,
        area: Area | None = None,
        pricerange: PriceRange | None = None,
        type: HotelType | None = None,
        stars: int | None = None,
        parking: bool | None = None,
        internet: bool | None = None,
        name: str | None = None,
    ) -> JsonObject:
        """Find hotels and guest houses.

        Args:
            area: part of town
            pricerange: price range
            type: hotel or guest house
            stars: number of stars, 0 to 5
            parking: whether it has parking
            internet: whether it has internet
            name: name or part of it
        """
        features: JsonObject = {"stars": stars, "parking": parking, "internet": internet}
        return self._found("hotel", name, {"area": area, "pricerange": pricerange, "type": type, **features})

    def book_hotel(self, name: str, people: int, day: Day, stay: int) -> JsonObject:
        """Book a hotel or guest house.

        Args:
            name: name of the hotel
            people: number of people
            day: day of arrival
            stay: number of nights
        """
        nights = whole_number("stay", stay, 1, _MAX_NIGHTS)
        return _booked({"name": self._named("hotel", name), "people": _people(people), "day": day, "stay": nights})

    def find_restaurants(
        self,
        area: Area | None = None,
        pricerange: PriceRange | None = None,
        food: str | None = None,
        name: str | None = None,
    ) -> JsonObject:
        """Find restaurants.

        Args:
            area: part of town
            pricerange: price range
            food: kind of food, such as italian
            name: name or part of it
        """
        return self._found("restaurant", name, {"area": area, "pricerange": pricerange, "food": food})

    def book_restaurant(self, name: str, people: int, day: Day, time: str) -> JsonObject:
        """Book a table at a restaurant.

        Args:
            name: name of the restaurant
            people: number of people
            day: day of the week
            time: time as HH:MM
        """
        at = clock("time", time)
        return _booked({"name": self._named("restaurant", name), "people": _people(people), "day": day, "time": at})

    def find_attractions(
        self, area: Area | None = None, type: str | None = None, name: str | None = None
    ) -> JsonObject:
        """Find attractions.

        Args:
            area: part of town
            type: kind of attraction, such as museum
            name: name or part of it
        """
        return self._found("attraction", name, {"area": area, "type": type})

    def find_trains(
        self,
        departure: str | None = None,
        destination: str | None = None,
        day: Day | None = None,
        leave_at: str | None = None,
        arrive_by: str | None = None,
    ) -> JsonObject:
        """Find trains.

        Args:
            departure: town of departure
            destination: town of arrival
            day: day of travel
            leave_at: earliest departure as HH:MM
            arrive_by: latest arrival as HH:MM
        """
        given = {"leave_at": leave_at, "arrive_by": arrive_by}
        times: JsonObject = {key: clock(key, time) for key, time in given.items() if time is not None}
        starts = self._towns if departure is None else names.matches(departure, self._towns)
        ends = self._towns if destination is None else names.matches(destination, self._towns)
        rows = self.matching("train", {"day": day, **times})
        rows = [row for row in rows if row["departure"] in starts and row["destination"] in ends]
        if times.keys() == {"arrive_by"}:  # whoever must be there by a time wants to hear of the last trains first
            rows.sort(key=lambda row: (DAYS.index(row["day"]), -minutes(str(row["arrive_by"]))))
        return _shown("train", rows)

    def book_train(
        self, *, departure: str | None = None, destination: str, day: Day, leave_at: str, people: int = 1
    ) -> JsonObject:
        """Book train seats.

        Args:
            departure: town of departure
            destination: town of arrival
            day: day of travel
            leave_at: departure time as HH:MM
            people: number of people
        """
        route = {"departure": self._town(departure or "cambridge"), "destination": self._town(destination)}
        rows = self.matching("train", {**route, "day": day})
        at = clock("leave_at", leave_at)
        train = next((row for row in rows if row["leave_at"] == at), None)
        if train is None:
            where = f"from {route['departure']} to {route['destination']}"
            raise ValueError(f"no train {where} leaves at {at} on {day}; find_trains shows which do")
        return _booked({**train, "people": _people(people)})

    def book_taxi(
        self, departure: str, destination: str, leave_at: str | None = None, arrive_by: str | None = None
    ) -> JsonObject:
        """Book a taxi that leaves at, or arrives by, a time.

        Args:
            departure: where the ride starts
            destination: where the ride ends
            leave_at: departure time as HH:MM
            arrive_by: arrival time as HH:MM
        """
        given = {"leave_at": leave_at, "arrive_by": arrive_by}
        times: JsonObject = {key: clock(key, time) for key, time in given.items() if time is not None}
        if not times:
            raise ValueError("a taxi needs leave_at or arrive_by, a time such as 09:30")
        start, end = place("departure", departure), place("destination", destination)
        ride: JsonObject = {"departure": start, "destination": end, **times}
        number = _number(ride)
        return _booked({"car": self._cars[number % len(self._cars)], "phone": f"07{number % 10**9:09d}", **ride})

    def _found(self, domain: str, name: str | None, wanted: JsonObject) -> JsonObject:
        rows = self.matching(domain, wanted)
        meant = None if name is None else set(names.matches(name, self._names[domain]))
        return _shown(domain, [row for row in rows if meant is None or row["name"] in meant])

    def _named(self, domain: str, name: str) -> str:
        return names.resolve(domain, place("name", name), self._names[domain])

    def _town(self, said: str) -> str:
        return names.resolve("town", said, self._towns)


def open_town(folder: Path) -> Town:
    """The town of a data folder's `db`; StoreError where a table is not of the published form."""
    tables = {domain: _table(folder / "db" / f"{domain}_db.json", domain) for domain in PLURALS}
    taxis = read_json(folder / "db" / "taxi_db.json")
    try:
        colours, makes = taxis[0]["taxi_colors"], taxis[0]["taxi_types"]  # type: ignore[index,call-overload]
        cars = [f"{colour} {make}" for colour in colours for make in makes]  # type: ignore[union-attr]
    except (KeyError, IndexError, TypeError) as error:
        raise StoreError(f"{folder / 'db' / 'taxi_db.json'} has no taxi_colors and taxi_types", _HINT) from error
    return Town(tables, cars)


_HINT = "The file is damaged or in another form: fetch it again with `coalm-lite data fetch multiwoz`."


def _table(path: Path, domain: str) -> list[JsonObject]:
    needed = {"trainID", "departure", "destination", "day", "leaveAt"} if domain == "train" else {"name", "area"}
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and needed <= row.keys() for row in rows):
        raise StoreError(f"{path} is no list of rows with {', '.join(sorted(needed))}", _HINT)
    return [row for row in rows if isinstance(row, dict)]


def _shown(domain: str, rows: list[JsonObject]) -> JsonObject:
    shown: list[JsonValue] = list(rows[:SHOWN_RESULTS])
    return {"count": len(rows), PLURALS[domain]: shown}


def _people(people: int) -> int:
    return whole_number("people", people, 1, _MAX_PEOPLE)


def _booked(details: JsonObject) -> JsonObject:
    digits = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    number = _number(details)
    reference = "".join(digits[number >> shift & 31] for shift in range(0, 30, 5))
    return {"reference": reference, **details}


def _number(details: JsonObject) -> int:
    return int.from_bytes(hashlib.sha256(repr(sorted(details.items())).encode()).digest()[:6], "big")
