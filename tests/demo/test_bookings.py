"""Reference numbers and the overview of bookings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coalm_lite.demo import bookings
from coalm_lite.demo.database import connection
from coalm_lite.errors import ToolError


def test_a_reference_has_six_characters_none_of_which_is_read_for_another() -> None:
    drawn = [bookings.draw_reference() for _ in range(2000)]
    assert {len(reference) for reference in drawn} == {6}
    assert set("".join(drawn)) == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789") - set("IO")
    assert len(set(drawn)) > 1990


def test_a_reference_in_use_is_drawn_again(database: Path) -> None:
    draws = iter(["AAAAAA", "AAAAAA", "AAAAAA", "BBBBBB"])
    with connection(database) as opened:
        booked = [bookings.add(opened, "hotel", {"stay": stay}, lambda: next(draws)) for stay in (1, 2)]
        assert booked == [{"reference": "AAAAAA", "stay": 1}, {"reference": "BBBBBB", "stay": 2}]
        assert bookings.overview(opened)["count"] == 2


def test_references_that_are_used_up_are_an_error_that_books_nothing(database: Path) -> None:
    with connection(database) as opened:
        bookings.add(opened, "hotel", {}, lambda: "AAAAAA")
        with pytest.raises(ToolError, match="no free reference number") as refused:
            bookings.add(opened, "hotel", {}, lambda: "AAAAAA")
        assert refused.value.hint
        assert bookings.overview(opened)["count"] == 1


def test_the_overview_counts_all_and_lists_the_newest(call: Callable[..., Any]) -> None:
    made = bookings.LISTED_BOOKINGS + 2
    for stay in range(1, made + 1):
        call("book_hotel", name="Hazel Bank", people=1, day="monday", stay=stay)
    listed = call("my_bookings")
    assert listed["count"] == made
    assert [booking["stay"] for booking in listed["bookings"]] == list(range(3, made + 1))


def test_a_place_in_any_script_is_kept_as_it_was_said(call: Callable[..., Any]) -> None:
    call("book_taxi", departure="Café Zoë “am Eck”", destination="駅前 3", leave_at="08:00")
    (booking,) = call("my_bookings")["bookings"]
    assert (booking["departure"], booking["destination"]) == ("Café Zoë “am Eck”", "駅前 3")
