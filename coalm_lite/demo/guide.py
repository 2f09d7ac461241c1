"""The guide's nine functions, as tools: what a model is told of each stands in its signature and docstring.

Arguments and results are plain JSON values, results have their keys in a fixed order, and a search shows at most three
of what it found. A request that cannot be met raises ValueError with a sentence for the model; a database that cannot
be used raises ToolError.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from coalm_lite.demo import bookings, search
from coalm_lite.demo.database import connection
from coalm_lite.demo.fields import (
    AREAS,
    DAYS,
    HOTEL_TYPES,
    PRICE_RANGES,
    Area,
    Day,
    HotelType,
    PriceRange,
    clock,
    one_of,
    place,
    pounds,
    whole_number,
)
from coalm_lite.demo.names import key
from coalm_lite.types import JsonValue

SHOWN_RESULTS = 3
MAX_PEOPLE = 20
MAX_NIGHTS = 30


class TownGuide:
    """The tools of one database file; holds no connection, so it may be shared between threads."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def find_hotels(
        self,
        area: Area | None = None,
        pricerange: PriceRange | None = None,
        type: HotelType | None = None,
        stars: int | None = None,
        parking: bool | None = None,
        internet: bool | None = None,
        name: str | None = None,
    ) -> dict[str, JsonValue]:
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
        fields = {
            "area": _choice("area", area, AREAS),
            "pricerange": _choice("pricerange", pricerange, PRICE_RANGES),
            "type": _choice("type", type, HOTEL_TYPES),
            "stars": None if stars is None else whole_number("stars", stars, 0, 5),
            "parking": parking,
            "internet": internet,
        }
        with connection(self._database) as opened:
            return _found("hotels", search.places(opened, "hotels", fields, name), _hotel)

    def book_hotel(self, name: str, people: int, day: Day, stay: int) -> dict[str, JsonValue]:
        """Book a hotel or guest house.

        Args:
            name: name of the hotel
            people: number of people
            day: day of arrival
            stay: number of nights
        """
        asked: dict[str, JsonValue] = {
            "people": whole_number("people", people, 1, MAX_PEOPLE),
            "day": one_of("day", day, DAYS),
            "stay": whole_number("stay", stay, 1, MAX_NIGHTS),
        }
        with connection(self._database) as opened:
            hotel = search.place_name(opened, "hotels", "hotel", place("name", name))
            return bookings.add(opened, "hotel", {"name": hotel, **asked})

    def find_restaurants(
        self,
        area: Area | None = None,
        pricerange: PriceRange | None = None,
        food: str | None = None,
        name: str | None = None,
    ) -> dict[str, JsonValue]:
        """Find restaurants.

        Args:
            area: part of town
            pricerange: price range
            food: kind of food, such as italian
            name: name or part of it
        """
        with connection(self._database) as opened:
            fields = {
                "area": _choice("area", area, AREAS),
                "pricerange": _choice("pricerange", pricerange, PRICE_RANGES),
                "food": search.kind(opened, "restaurants", "food", food),
            }
            return _found("restaurants", search.places(opened, "restaurants", fields, name), _restaurant)

    def book_restaurant(self, name: str, people: int, day: Day, time: str) -> dict[str, JsonValue]:
        """Book a table at a restaurant.

        Args:
            name: name of the restaurant
            people: number of people
            day: day of the week
            time: time as HH:MM
        """
        asked: dict[str, JsonValue] = {
            "people": whole_number("people", people, 1, MAX_PEOPLE),
            "day": one_of("day", day, DAYS),
            "time": clock("time", time),
        }
        with connection(self._database) as opened:
            restaurant = search.place_name(opened, "restaurants", "restaurant", place("name", name))
            return bookings.add(opened, "restaurant", {"name": restaurant, **asked})

    def find_attractions(
        self, area: Area | None = None, type: str | None = None, name: str | None = None
    ) -> dict[str, JsonValue]:
        """Find attractions.

        Args:
            area: part of town
            type: kind of attraction, such as museum
            name: name or part of it
        """
        with connection(self._database) as opened:
            fields = {
                "area": _choice("area", area, AREAS),
                "type": search.kind(opened, "attractions", "type", type),
            }
            return _found("attractions", search.places(opened, "attractions", fields, name), _attraction)

    def find_trains(
        self,
        departure: str | None = None,
        destination: str | None = None,
        day: Day | None = None,
        leave_at: str | None = None,
        arrive_by: str | None = None,
    ) -> dict[str, JsonValue]:
        """Find trains.

        Args:
            departure: town of departure
            destination: town of arrival
            day: day of travel
            leave_at: earliest departure as HH:MM
            arrive_by: latest arrival as HH:MM
        """
        times = (
            None if leave_at is None else clock("leave_at", leave_at),
            None if arrive_by is None else clock("arrive_by", arrive_by),
        )
        with connection(self._database) as opened:
            rows = search.trains(opened, departure, destination, _choice("day", day, DAYS), *times)
            return _found("trains", rows, _train)

    def book_train(
        self, *, departure: str | None = None, destination: str, day: Day, leave_at: str, people: int = 1
    ) -> dict[str, JsonValue]:
        """Book train seats; the price is for all people.

        Args:
            departure: town of departure
            destination: town of arrival
            day: day of travel
            leave_at: departure time as HH:MM
            people: number of people
        """
        seats = whole_number("people", people, 1, MAX_PEOPLE)
        when = one_of("day", day, DAYS), clock("leave_at", leave_at)
        with connection(self._database) as opened:
            train = search.train(opened, departure, destination, *when)
            ride = {field: train[field] for field in ("departure", "destination", "day", "leave_at")}
            price = pounds(seats * train["price_pence"])
            return bookings.add(opened, "train", {**ride, "people": seats, "price": price})

    def book_taxi(
        self, departure: str, destination: str, leave_at: str | None = None, arrive_by: str | None = None
    ) -> dict[str, JsonValue]:
        """Book a taxi that leaves at, or arrives by, a time.

        Args:
            departure: where the ride starts
            destination: where the ride ends
            leave_at: departure time as HH:MM
            arrive_by: arrival time as HH:MM
        """
        if leave_at is None and arrive_by is None:
            raise ValueError("a taxi needs leave_at or arrive_by, a time such as 09:30")
        given = {"leave_at": leave_at, "arrive_by": arrive_by}
        times = {field: clock(field, time) for field, time in given.items() if time is not None}
        start, end = place("departure", departure), place("destination", destination)
        if key(start) == key(end):
            raise ValueError(f"departure and destination are the same place, {start}")
        with connection(self._database) as opened:
            taxi = secrets.choice(opened.execute("SELECT car, phone FROM taxis").fetchall())
            ride = {"car": taxi["car"], "phone": taxi["phone"], "departure": start, "destination": end}
            return bookings.add(opened, "taxi", {**ride, **times})

    def my_bookings(self) -> dict[str, JsonValue]:
        """List the bookings made so far."""
        with connection(self._database) as opened:
            return bookings.overview(opened)


def _choice(argument: str, value: object, choices: tuple[str, ...]) -> str | None:
    return None if value is None else one_of(argument, value, choices)


def _found(
    table: str, rows: Sequence[sqlite3.Row], as_told: Callable[[sqlite3.Row], dict[str, JsonValue]]
) -> dict[str, JsonValue]:
    told: list[JsonValue] = [as_told(row) for row in rows[:SHOWN_RESULTS]]
    return {"count": len(rows), table: told}


def _hotel(row: sqlite3.Row) -> dict[str, JsonValue]:
    told = {field: row[field] for field in ("name", "type", "area", "pricerange", "stars")}
    return {**told, "parking": bool(row["parking"]), "internet": bool(row["internet"]), "phone": row["phone"]}


def _restaurant(row: sqlite3.Row) -> dict[str, JsonValue]:
    return {field: row[field] for field in ("name", "food", "area", "pricerange", "phone")}


def _attraction(row: sqlite3.Row) -> dict[str, JsonValue]:
    told = {field: row[field] for field in ("name", "type", "area")}
    fee = f"{row['fee_pounds']} pounds" if row["fee_pounds"] else "free"
    return {**told, "fee": fee, "phone": row["phone"]}


def _train(row: sqlite3.Row) -> dict[str, JsonValue]:
    told = {field: row[field] for field in ("departure", "destination", "day", "leave_at", "arrive_by")}
    return {**told, "price": pounds(row["price_pence"])}
