"""The nine functions as a caller sees them: results, their order and keys, bookings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coalm_lite import demo
from coalm_lite.demo.fields import AREAS, PRICE_RANGES

Call = Callable[..., dict[str, Any]]

HOTEL = ["name", "type", "area", "pricerange", "stars", "parking", "internet", "phone"]
RESTAURANT = ["name", "food", "area", "pricerange", "phone"]
ATTRACTION = ["name", "type", "area", "fee", "phone"]
TRAIN = ["departure", "destination", "day", "leave_at", "arrive_by", "price"]
BOOK_HOTEL: dict[str, object] = {"name": "Juniper Lodge", "people": 2, "day": "tuesday", "stay": 3}
BOOK_TABLE: dict[str, object] = {"name": "Saffron Window", "people": 4, "day": "friday", "time": "19:00"}
BOOK_TRAIN: dict[str, object] = {"destination": "Copperwell", "day": "saturday", "leave_at": "09:05"}
BOOK_TAXI: dict[str, object] = {"departure": "Juniper Lodge", "destination": "3 Mill Lane", "leave_at": "18:30"}


def test_the_tools_come_in_order_with_the_agreed_arguments() -> None:
    told = {tool.__name__: list(inspect.signature(tool).parameters) for tool in demo.tools(Path("unused"))}
    assert list(told.items()) == [
        ("find_hotels", ["area", "pricerange", "type", "stars", "parking", "internet", "name"]),
        ("book_hotel", ["name", "people", "day", "stay"]),
        ("find_restaurants", ["area", "pricerange", "food", "name"]),
        ("book_restaurant", ["name", "people", "day", "time"]),
        ("find_attractions", ["area", "type", "name"]),
        ("find_trains", ["departure", "destination", "day", "leave_at", "arrive_by"]),
        ("book_train", ["departure", "destination", "day", "leave_at", "people"]),
        ("book_taxi", ["departure", "destination", "leave_at", "arrive_by"]),
        ("my_bookings", []),
    ]


def test_every_tool_documents_each_argument_and_its_type() -> None:
    for tool in demo.tools(Path("unused")):
        described = inspect.getdoc(tool) or ""
        hints = typing.get_type_hints(tool)
        assert described.splitlines()[0].endswith(".")
        for parameter in inspect.signature(tool).parameters:
            assert f"\n    {parameter}: " in described
            assert parameter in hints


@pytest.mark.parametrize(
    ("tool", "listed", "keys", "total"),
    [
        ("find_hotels", "hotels", HOTEL, 30),
        ("find_restaurants", "restaurants", RESTAURANT, 60),
        ("find_attractions", "attractions", ATTRACTION, 30),
    ],
)
def test_a_search_without_conditions_counts_all_and_shows_three(
    call: Call, tool: str, listed: str, keys: list[str], total: int
) -> None:
    found = call(tool)
    assert list(found) == ["count", listed]
    assert found["count"] == total
    assert [list(row) for row in found[listed]] == [keys] * 3


def test_a_search_holds_every_condition_at_once(call: Call) -> None:
    found = call("find_hotels", area="north", pricerange="cheap", parking=True)
    assert found == {
        "count": 1,
        "hotels": [
            {
                "name": "Juniper Lodge",
                "type": "guest house",
                "area": "north",
                "pricerange": "cheap",
                "stars": 2,
                "parking": True,
                "internet": True,
                "phone": "01632 960102",
            }
        ],
    }
    assert found["hotels"][0]["parking"] is True, "JSON's true, not 1"
    assert found["hotels"][0]["internet"] is True
    without = call("find_hotels", area="north", pricerange="cheap", parking=False)
    assert [hotel["name"] for hotel in without["hotels"]] == ["Tanner's Rest"]


@pytest.mark.parametrize(
    ("field", "value"), [("type", "hotel"), ("stars", 4), ("internet", False), ("pricerange", "expensive")]
)
def test_each_hotel_field_filters(call: Call, field: str, value: object) -> None:
    found = call("find_hotels", **{field: value})
    assert 0 < found["count"] < 30
    assert all(hotel[field] == value for hotel in found["hotels"])


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("pricerange", PRICE_RANGES)
def test_every_area_has_restaurants_and_hotels_at_every_price(call: Call, area: str, pricerange: str) -> None:
    assert call("find_restaurants", area=area, pricerange=pricerange)["count"] >= 3
    assert call("find_hotels", area=area, pricerange=pricerange)["count"] >= 1


def test_food_is_found_without_regard_to_case(call: Call) -> None:
    found = call("find_restaurants", area="centre", food="INDIAN")
    assert found["count"] == 3
    assert {row["food"] for row in found["restaurants"]} == {"indian"}
    assert {row["area"] for row in found["restaurants"]} == {"centre"}


@pytest.mark.parametrize(("said", "kind"), [("Museums", "museum"), ("swimmingpool", "swimming pool")])
def test_an_attraction_type_is_found_as_people_write_it(call: Call, said: str, kind: str) -> None:
    found = call("find_attractions", type=said)
    assert found["count"] >= 2
    assert {row["type"] for row in found["attractions"]} == {kind}


def test_a_fee_is_told_in_pounds_or_as_free(call: Call) -> None:
    fees = [call("find_attractions", name=name)["attractions"][0]["fee"] for name in ("Larch Hill Park", "Tanners")]
    assert fees == ["free", "4 pounds"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("find_hotels", {"name": "Xyzzy Towers"}),
        ("find_hotels", {"name": "!!"}),
        ("find_restaurants", {"food": "martian"}),
        ("find_attractions", {"type": "volcano"}),
        ("find_trains", {"destination": "Atlantis"}),
        ("find_trains", {"departure": "Copperwell", "destination": "Pennerby"}),
    ],
)
def test_a_search_that_fits_nothing_finds_nothing(call: Call, tool: str, arguments: dict[str, str]) -> None:
    found = call(tool, **arguments)
    assert list(found.values()) == [0, []]


def test_trains_after_a_time_come_earliest_first(call: Call) -> None:
    found = call("find_trains", destination="Copperwell", day="saturday", leave_at="9:00")
    assert [list(train) for train in found["trains"]] == [TRAIN] * 3
    assert [train["leave_at"] for train in found["trains"]] == ["09:05", "09:35", "10:05"]
    assert found["trains"][0] == {
        "departure": demo.HOME_TOWN,
        "destination": "Copperwell",
        "day": "saturday",
        "leave_at": "09:05",
        "arrive_by": "09:27",
        "price": "5.40 pounds",
    }
    exactly = call("find_trains", destination="Copperwell", day="saturday", leave_at="09:05")
    assert exactly["count"] == found["count"]


def test_trains_before_a_time_come_latest_first(call: Call) -> None:
    found = call("find_trains", destination="Copperwell", day="saturday", arrive_by="09:27")
    assert [train["arrive_by"] for train in found["trains"]] == ["09:27", "08:57", "08:27"]


def test_trains_between_two_times_come_earliest_first(call: Call) -> None:
    found = call("find_trains", destination="Copperwell", day="friday", leave_at="09:00", arrive_by="10:00")
    assert found["count"] == 2
    assert [train["leave_at"] for train in found["trains"]] == ["09:05", "09:35"]


def test_trains_of_no_stated_day_come_day_by_day(call: Call) -> None:
    found = call("find_trains", destination="Tilverton", arrive_by="11:00")
    assert [(train["day"], train["arrive_by"]) for train in found["trains"]] == [
        ("monday", "10:35"),
        ("monday", "08:35"),
        ("tuesday", "10:35"),
    ]


@pytest.mark.parametrize(
    ("asked", "departures", "destinations"),
    [
        ({}, {demo.HOME_TOWN}, None),
        ({"destination": "Pennerby"}, {demo.HOME_TOWN}, {"Pennerby"}),
        ({"departure": "pennerby"}, {"Pennerby"}, {demo.HOME_TOWN}),
        ({"departure": demo.HOME_TOWN}, {demo.HOME_TOWN}, None),
        ({"destination": demo.HOME_TOWN}, None, {demo.HOME_TOWN}),
    ],
)
def test_a_missing_end_of_a_journey_is_the_home_town(
    call: Call, asked: dict[str, str], departures: set[str] | None, destinations: set[str] | None
) -> None:
    found = call("find_trains", day="monday", **asked)["trains"]
    assert len(found) == 3
    assert departures is None or {train["departure"] for train in found} == departures
    assert destinations is None or {train["destination"] for train in found} == destinations


def test_a_journey_with_neither_end_starts_at_the_home_town(call: Call) -> None:
    assert call("find_trains") == call("find_trains", departure=demo.HOME_TOWN)
    assert call("find_trains", destination=demo.HOME_TOWN)["count"] not in (0, call("find_trains")["count"])


def test_each_booking_says_what_was_booked(call: Call) -> None:
    booked = [
        call("book_hotel", **BOOK_HOTEL | {"name": "the juniper lodge hotel", "day": "Tuesday"}),
        call("book_restaurant", **BOOK_TABLE | {"time": "9:00"}),
        call("book_train", **BOOK_TRAIN | {"people": 3}),
        call("book_taxi", **BOOK_TAXI),
    ]
    assert [list(booking) for booking in booked] == [
        ["reference", "name", "people", "day", "stay"],
        ["reference", "name", "people", "day", "time"],
        ["reference", "departure", "destination", "day", "leave_at", "people", "price"],
        ["reference", "car", "phone", "departure", "destination", "leave_at"],
    ]
    assert [list(booking.values())[1:] for booking in booked[:3]] == [
        ["Juniper Lodge", 2, "tuesday", 3],
        ["Saffron Window", 4, "friday", "09:00"],
        [demo.HOME_TOWN, "Copperwell", "saturday", "09:05", 3, "16.20 pounds"],
    ]
    assert list(booked[3].values())[3:] == ["Juniper Lodge", "3 Mill Lane", "18:30"]


def test_my_bookings_lists_all_kinds_in_the_order_they_were_made(call: Call) -> None:
    assert call("my_bookings") == {"count": 0, "bookings": []}
    requests = {"hotel": BOOK_HOTEL, "restaurant": BOOK_TABLE, "train": BOOK_TRAIN, "taxi": BOOK_TAXI}
    booked = [{"kind": kind, **call(f"book_{kind}", **asked)} for kind, asked in requests.items()]
    listed = call("my_bookings")
    assert listed == {"count": 4, "bookings": booked}
    assert [list(entry) for entry in listed["bookings"]] == [list(entry) for entry in booked]


def test_a_train_is_for_one_person_from_the_home_town_unless_said_otherwise(call: Call) -> None:
    out = call("book_train", **BOOK_TRAIN)
    assert (out["departure"], out["people"], out["price"]) == (demo.HOME_TOWN, 1, "5.40 pounds")
    back = call("book_train", destination="marlowick", departure="copperwell", day="sunday", leave_at="8:20")
    assert (back["departure"], back["destination"], back["leave_at"]) == ("Copperwell", demo.HOME_TOWN, "08:20")


def test_every_train_that_is_found_can_be_booked_at_its_price(call: Call) -> None:
    for train in call("find_trains", day="sunday", leave_at="12:00")["trains"]:
        asked = {field: train[field] for field in ("departure", "destination", "day", "leave_at")}
        assert call("book_train", **asked)["price"] == train["price"]


def test_a_taxi_carries_the_times_it_was_given(call: Call) -> None:
    by_arrival = call("book_taxi", departure="the station", destination="Harmony Hall", arrive_by="7:45")
    assert list(by_arrival)[-1] == "arrive_by"
    assert by_arrival["arrive_by"] == "07:45"
    assert "leave_at" not in by_arrival
    both = call("book_taxi", **BOOK_TAXI | {"arrive_by": "19:00"})
    assert list(both)[-2:] == ["leave_at", "arrive_by"]
    assert both["phone"].startswith("01632 960")
