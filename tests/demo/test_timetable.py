"""The trains: within a day, between the home town and others, fewer on Sundays."""

from __future__ import annotations

import csv
from collections import Counter
from importlib import resources

import pytest

from coalm_lite.demo.fields import DAYS, minutes
from coalm_lite.demo.timetable import HOME_TOWN, Train, trains

LINE = {
    "town": "Elsewhere",
    "travel_minutes": "50",
    "price_pence": "905",
    "first_out": "07:30",
    "first_back": "08:00",
    "last": "10:30",
    "every_minutes": "60",
}


def _times(departure: str, day: str) -> list[tuple[str, str]]:
    return [(row.leave_at, row.arrive_by) for row in trains([LINE]) if (row.departure, row.day) == (departure, day)]


def test_a_line_runs_at_its_interval_up_to_its_last_time() -> None:
    assert _times(HOME_TOWN, "friday") == [
        ("07:30", "08:20"),
        ("08:30", "09:20"),
        ("09:30", "10:20"),
        ("10:30", "11:20"),
    ]
    assert _times("Elsewhere", "friday") == [("08:00", "08:50"), ("09:00", "09:50"), ("10:00", "10:50")]


def test_on_sundays_every_second_train_runs_from_eight() -> None:
    assert _times(HOME_TOWN, "sunday") == [("08:30", "09:20"), ("10:30", "11:20")]
    assert _times("Elsewhere", "sunday") == [("08:00", "08:50"), ("10:00", "10:50")]


@pytest.fixture(scope="module")
def timetable() -> list[Train]:
    text = resources.files("coalm_lite.demo").joinpath("lines.csv").read_text(encoding="utf-8")
    return list(trains(list(csv.DictReader(text.splitlines()))))


def test_the_shipped_lines_join_the_home_town_to_eight_others(timetable: list[Train]) -> None:
    towns = {row.departure for row in timetable}
    assert len(towns) == 9
    assert towns == {row.destination for row in timetable}
    assert all(HOME_TOWN in (row.departure, row.destination) for row in timetable)
    per_day = Counter((row.departure, row.destination, row.day) for row in timetable)
    assert len(per_day) == 2 * 8 * len(DAYS)
    assert min(per_day.values()) >= 3


def test_no_shipped_train_runs_past_midnight(timetable: list[Train]) -> None:
    assert timetable
    assert all(minutes(row.leave_at) < minutes(row.arrive_by) < 24 * 60 for row in timetable)


def test_a_saturday_morning_has_a_later_train_to_every_town(timetable: list[Train]) -> None:
    reached = {row.destination for row in timetable if row.day == "saturday" and row.leave_at > "09:00"}
    assert len(reached) == 9
