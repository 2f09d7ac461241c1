"""What the nine functions refuse: the sentence says argument and value, and nothing is booked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]

BOOK_HOTEL: dict[str, object] = {"name": "Juniper Lodge", "people": 2, "day": "tuesday", "stay": 3}
BOOK_TABLE: dict[str, object] = {"name": "Saffron Window", "people": 4, "day": "friday", "time": "19:00"}
BOOK_TRAIN: dict[str, object] = {"destination": "Copperwell", "day": "saturday", "leave_at": "09:05"}
BOOK_TAXI: dict[str, object] = {"departure": "Juniper Lodge", "destination": "3 Mill Lane", "leave_at": "18:30"}

REFUSALS = [
    ("find_hotels", {"area": "middle"}, "area must be north, south, east, west or centre, not 'middle'"),
    ("find_hotels", {"pricerange": "free"}, "pricerange must be cheap, moderate or expensive, not 'free'"),
    ("find_hotels", {"type": "motel"}, "type must be hotel or guest house, not 'motel'"),
    ("find_hotels", {"stars": 6}, "stars must be a whole number from 0 to 5, not 6"),
    ("find_restaurants", {"area": "up"}, "area must be north, south, east, west or centre, not 'up'"),
    ("find_restaurants", {"pricerange": "x"}, "pricerange must be cheap, moderate or expensive, not 'x'"),
    ("find_attractions", {"area": ""}, "area must be north, south, east, west or centre, not ''"),
    ("find_trains", {"day": "today"}, "day must be monday, tuesday, .* saturday or sunday, not 'today'"),
    ("find_trains", {"leave_at": "24:00"}, "leave_at must be a time of day from 00:00 to 23:59, .* not '24:00'"),
    ("find_trains", {"arrive_by": "noon"}, "arrive_by must be a time of day .* not 'noon'"),
    (
        "book_hotel",
        BOOK_HOTEL | {"name": "Junipers Logde Inn"},
        "no hotel is called 'Junipers Logde Inn'; the nearest names are Juniper Lodge, .* and ",
    ),
    (
        "book_hotel",
        BOOK_HOTEL | {"name": "lodge"},
        "2 hotels fit 'lodge': give the full name, such as .*Juniper Lodge",
    ),
    ("book_hotel", BOOK_HOTEL | {"name": " "}, "name must name a place, not ' '"),
    ("book_hotel", BOOK_HOTEL | {"people": 0}, "people must be a whole number from 1 to 20, not 0"),
    ("book_hotel", BOOK_HOTEL | {"people": True}, "people must be a whole number from 1 to 20, not True"),
    ("book_hotel", BOOK_HOTEL | {"people": 2.5}, r"people must be a whole number from 1 to 20, not 2\.5"),
    ("book_hotel", BOOK_HOTEL | {"stay": 31}, "stay must be a whole number from 1 to 30, not 31"),
    ("book_hotel", BOOK_HOTEL | {"day": "tues"}, "day must be monday, .* not 'tues'"),
    (
        "book_restaurant",
        BOOK_TABLE | {"name": "Saffron Door Grill"},
        "no restaurant is called 'Saffron Door Grill'; the nearest names are .*Saffron Window",
    ),
    ("book_restaurant", BOOK_TABLE | {"people": 21}, "people must be a whole number from 1 to 20, not 21"),
    ("book_restaurant", BOOK_TABLE | {"day": ""}, "day must be monday, .* not ''"),
    ("book_restaurant", BOOK_TABLE | {"time": "19.00"}, "time must be a time of day .* such as 09:30, not '19.00'"),
    ("book_train", BOOK_TRAIN | {"day": "someday"}, "day must be monday, .* not 'someday'"),
    ("book_train", BOOK_TRAIN | {"leave_at": "9"}, "leave_at must be a time of day .* not '9'"),
    ("book_train", BOOK_TRAIN | {"people": -1}, "people must be a whole number from 1 to 20, not -1"),
    (
        "book_train",
        BOOK_TRAIN | {"leave_at": "09:00"},
        "no train from Marlowick to Copperwell leaves at 09:00 on saturday; the nearest leave at 08:35 and 09:05",
    ),
    (
        "book_train",
        BOOK_TRAIN | {"leave_at": "23:59"},
        "leaves at 23:59 on saturday; the nearest leave at 22:05 and 22:35",
    ),
    (
        "book_train",
        BOOK_TRAIN | {"destination": "London"},
        "no town is called 'London'; trains run between Marlowick and Brindlesea, .*, Quillhaven and Tilverton",
    ),
    ("book_train", BOOK_TRAIN | {"departure": "Paris"}, "no town is called 'Paris'; trains run between Marlowick and"),
    ("book_train", BOOK_TRAIN | {"destination": "Marlowick"}, "departure must be given for a train to Marlowick"),
    (
        "book_train",
        BOOK_TRAIN | {"departure": "Pennerby"},
        "no train runs from Pennerby to Copperwell: every train leaves or reaches Marlowick",
    ),
    (
        "book_train",
        BOOK_TRAIN | {"departure": "Marlowick", "destination": "Marlowick"},
        "no train runs from Marlowick to Marlowick",
    ),
    ("book_taxi", {"departure": "a", "destination": "b"}, "a taxi needs leave_at or arrive_by, a time such as 09:30"),
    ("book_taxi", BOOK_TAXI | {"leave_at": "7pm"}, "leave_at must be a time of day .* not '7pm'"),
    ("book_taxi", BOOK_TAXI | {"arrive_by": "7:60"}, "arrive_by must be a time of day .* not '7:60'"),
    ("book_taxi", BOOK_TAXI | {"departure": ""}, "departure must name a place, not ''"),
    ("book_taxi", BOOK_TAXI | {"destination": "\n"}, r"destination must name a place, not '\\n'"),
    (
        "book_taxi",
        BOOK_TAXI | {"destination": "the juniper lodge"},
        "departure and destination are the same place, Juniper Lodge",
    ),
]


@pytest.mark.parametrize(("tool", "arguments", "sentence"), REFUSALS)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_books_nothing(
    call: Call, tool: str, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(tool, **arguments)
    assert call("my_bookings")["count"] == 0


def test_a_long_value_is_shortened_in_the_sentence(call: Call) -> None:
    with pytest.raises(ValueError, match="no hotel is called") as refused:
        call("book_hotel", **BOOK_HOTEL | {"name": "castle " * 5000})
    assert len(str(refused.value)) < 250
