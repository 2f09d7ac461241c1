"""Rows of the databases: what fits, which names stand in words, and when words tell a value."""

from __future__ import annotations

import pytest

from coalm_lite.evals.multiwoz.rows import fits, named_in, told, trains_in, value_of
from coalm_lite.types import JsonObject

HOTEL: JsonObject = {
    "name": "rosa's bed and breakfast", "type": "guest house", "area": "centre", "stars": 4, "parking": True,
    "internet": False, "phone": "01223512596", "address": "53 roseford road", "postcode": "cb42ha", "fee": "?",
}  # fmt: skip
TRAIN: JsonObject = {
    "train_id": "tr1234", "leave_at": "05:50", "arrive_by": "06:07", "price": "4.40 pounds", "duration": "17 minutes",
}  # fmt: skip


@pytest.mark.parametrize(
    ("slot", "raw", "value"),
    [
        ("parking", "yes", True), ("internet", "No", False), ("stars", "4", 4), ("people", "2", 2), ("phone", "?", "?"),
        ("type", "guesthouse", "guest house"), ("type", "mutliple sports", "multiple sports"),
        ("time", "9:30", "09:30"),
        ("phone", "01223", "01223"), ("name", "  The  Place ", "the place"), ("phone", "", "?"),
    ],
)  # fmt: skip
def test_published_values_become_what_tools_take(slot: str, raw: str, value: object) -> None:
    assert value_of(slot, raw) == value


@pytest.mark.parametrize(
    ("row", "wanted", "fit"),
    [
        (HOTEL, {"area": "Centre", "stars": 4, "parking": True}, True),
        (HOTEL, {"parking": False}, False),
        (HOTEL, {"type": "guesthouse", "area": None}, True),
        (HOTEL, {"name": "Rosas Bed and Breakfast Hotel"}, True),
        (HOTEL, {"name": "rosa's"}, False),
        (TRAIN, {"leave_at": "05:50", "arrive_by": "06:07"}, True),
        (TRAIN, {"leave_at": "05:51"}, False),
        (TRAIN, {"arrive_by": "06:00"}, False),
        (TRAIN, {"food": "thai"}, False),
    ],
)
def test_a_row_fits_with_all_that_is_wanted(row: JsonObject, wanted: JsonObject, fit: bool) -> None:
    assert fits(row, wanted) == fit


ROWS: list[JsonObject] = [
    {"name": name} for name in ("pizza hut", "pizza hut city centre", "the place", "rosa's bed and breakfast", "cote")
]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("How about Pizza Hut City Centre?", ["pizza hut city centre"]),
        ("pizza hut city center, or Pizza Hut.", ["pizza hut city centre", "pizza hut"]),
        ("COTE, then pizza hut", ["cote", "pizza hut"]),
        ("It is a nice place to go.", []),
        ("I suggest The Place.", ["the place"]),
        ("rosa s bed and breakfast is cheap", ["rosa's bed and breakfast"]),
        ("a coterie of places", []),
    ],
)
def test_names_stand_in_words_whole_and_the_longest_first(words: str, found: list[str]) -> None:
    assert [row["name"] for row in named_in(words, ROWS)] == found


def test_a_train_is_named_by_its_number_else_by_its_time() -> None:
    trains = [TRAIN, {**TRAIN, "train_id": "tr9", "leave_at": "15:50"}]
    assert trains_in("TR1234 leaves at 15:50", trains) == [TRAIN]
    assert trains_in("One leaves at 5:50.", trains) == [TRAIN]
    assert trains_in("One leaves at 15:50.", trains) == trains[1:]
    assert trains_in("It is 17 minutes.", trains) == []


@pytest.mark.parametrize(
    ("row", "attribute", "words", "is_told"),
    [
        (HOTEL, "phone", "Call 01223 512596.", True),
        (HOTEL, "phone", "Call 0122351259.", False),
        (HOTEL, "postcode", "The postcode is CB4 2HA.", True),
        (HOTEL, "address", "It is at 53 Roseford Road, in the centre", True),
        (HOTEL, "stars", "It has 4 stars.", True),
        (HOTEL, "stars", "Call 01223512596.", False),
        (HOTEL, "area", "It is in the center.", True),
        (HOTEL, "type", "It's a guesthouse.", True),
        (HOTEL, "parking", "It has free parking. There is no internet.", True),
        (HOTEL, "internet", "It has free parking. There is no internet.", True),
        (HOTEL, "internet", "It has free wifi.", False),
        (HOTEL, "parking", "It doesn't have parking.", False),
        (HOTEL, "fee", "Nobody knows.", True),
        (TRAIN, "leave_at", "It leaves at 5:50.", True),
        (TRAIN, "leave_at", "It leaves at 15:50.", False),
        (TRAIN, "price", "That is 4.4 GBP.", True),
        (TRAIN, "price", "For all three £13.20.", True),
        (TRAIN, "price", "That is 14.40 pounds.", False),
        (TRAIN, "duration", "It takes 17 minutes", True),
        (TRAIN, "train_id", "It is TR1234.", True),
    ],
)
def test_words_tell_a_value_where_it_stands_in_them(row: JsonObject, attribute: str, words: str, is_told: bool) -> None:
    assert told(attribute, row, words, people=3) == is_told
