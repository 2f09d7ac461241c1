"""The trains of Marlowick, worked out from one rule for each line.

Every train runs between the home town and one other town. A line's trains leave at a fixed interval from its first to
its last time, each way; on Sundays every second one from the first after eight o'clock. None runs past midnight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from coalm_lite.demo.fields import DAYS, minutes

HOME_TOWN = "Marlowick"
_SUNDAY_START = minutes("08:00")


class Train(NamedTuple):
    """One row of the timetable, in the order of the table's columns; times are HH:MM, the price is one person's."""

    departure: str
    destination: str
    day: str
    day_number: int
    leave_at: str
    arrive_by: str
    price_pence: int


def trains(lines: list[dict[str, str]]) -> Iterator[Train]:
    """Every train of the week on these lines, rows of lines.csv."""
    for line in lines:
        yield from _one_way(line, HOME_TOWN, line["town"], line["first_out"])
        yield from _one_way(line, line["town"], HOME_TOWN, line["first_back"])


def _one_way(line: Mapping[str, str], departure: str, destination: str, first: str) -> Iterator[Train]:
    starts = range(minutes(first), minutes(line["last"]) + 1, int(line["every_minutes"]))
    on_sundays = [start for start in starts if start >= _SUNDAY_START][::2]
    travel_minutes, price_pence = int(line["travel_minutes"]), int(line["price_pence"])
    for number, day in enumerate(DAYS):
        for start in on_sundays if day == "sunday" else starts:
            leave_at, arrive_by = _time(start), _time(start + travel_minutes)
            yield Train(departure, destination, day, number, leave_at, arrive_by, price_pence)


def _time(since_midnight: int) -> str:
    return f"{since_midnight // 60:02d}:{since_midnight % 60:02d}"
