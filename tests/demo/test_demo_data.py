"""The shipped data files: complete, unambiguous, and plainly fictional where they could reach someone."""

from __future__ import annotations

import csv
import re
from importlib import resources

import pytest

from coalm_lite.demo.fields import AREAS, HOTEL_TYPES, PRICE_RANGES
from coalm_lite.demo.names import key, resolve


def _rows(table: str) -> list[dict[str, str]]:
    text = resources.files("coalm_lite.demo").joinpath(f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_every_phone_number_is_of_the_range_kept_for_fiction_and_used_once() -> None:
    numbers = [row["phone"] for table in ("hotels", "restaurants", "attractions", "taxis") for row in _rows(table)]
    assert len(numbers) == 30 + 60 + 30 + 8
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"01632 960\d{3}", number) for number in numbers)


@pytest.mark.parametrize("table", ["hotels", "restaurants", "attractions"])
def test_every_name_is_found_by_itself(table: str) -> None:
    names = [row["name"] for row in _rows(table)]
    assert len({key(name) for name in names}) == len(names)
    for name in names:
        assert resolve(table, name, names) == name
        assert resolve(table, key(name), names) == name


def test_every_field_has_one_of_its_values() -> None:
    for row in (*_rows("hotels"), *_rows("restaurants")):
        assert row["area"] in AREAS
        assert row["pricerange"] in PRICE_RANGES
    for row in _rows("hotels"):
        assert row["type"] in HOTEL_TYPES
        assert {row["parking"], row["internet"]} <= {"yes", "no"}
        assert 0 <= int(row["stars"]) <= 5
    for row in _rows("attractions"):
        assert row["area"] in AREAS
        assert int(row["fee_pounds"]) != 1, "the guide words fees in the plural"
