"""The checks of arguments: what they accept is given back in the stored form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.demo import fields


@given(st.integers(0, 23), st.integers(0, 59))
def test_every_minute_of_the_day_is_a_time(hour: int, minute: int) -> None:
    assert fields.clock("time", f"{hour}:{minute:02d}") == f"{hour:02d}:{minute:02d}"
    assert fields.minutes(f"{hour:02d}:{minute:02d}") == 60 * hour + minute


ARABIC_TWELVE = "\u0661\u0662:00"


@pytest.mark.parametrize(
    "value", ["", "9", "9:5", "24:00", "12:60", "-1:00", "009:00", "12:00pm", ARABIC_TWELVE, None, 900]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="time must be a time of day"):
        fields.clock("time", value)


def test_a_choice_is_read_without_regard_to_case_and_space() -> None:
    assert fields.one_of("day", " Friday ", fields.DAYS) == "friday"
    with pytest.raises(ValueError, match="day must be"):
        fields.one_of("day", 5, fields.DAYS)


@pytest.mark.parametrize(("low", "value", "high"), [(1, 1, 20), (1, 20, 20), (0, 0, 5)])
def test_a_whole_number_may_lie_on_its_bounds(low: int, value: int, high: int) -> None:
    assert fields.whole_number("people", value, low, high) == value


@pytest.mark.parametrize("value", [0, 21, True, 2.0, "2", None])
def test_what_is_no_number_in_range_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="people must be a whole number from 1 to 20"):
        fields.whole_number("people", value, 1, 20)


def test_values_are_listed_as_a_sentence_does() -> None:
    assert fields.listed(["a"]) == "a"
    assert fields.listed(["a", "b"]) == "a or b"
    assert fields.listed(("a", "b", "c"), "and") == "a, b and c"


def test_an_amount_has_two_decimals() -> None:
    assert [fields.pounds(pence) for pence in (5, 540, 1860, 100_000)] == [
        "0.05 pounds",
        "5.40 pounds",
        "18.60 pounds",
        "1000.00 pounds",
    ]
