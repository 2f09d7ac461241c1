"""Queries on the guide's tables: places by their fields and name, trains by route, day and time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from coalm_lite.demo import names
from coalm_lite.demo.fields import listed, minutes, shown
from coalm_lite.demo.timetable import HOME_TOWN


def places(
    opened: sqlite3.Connection, table: str, fields: Mapping[str, str | int | None], name: str | None
) -> list[sqlite3.Row]:
    """The rows of a table of places with all the `fields` that are not None, in the table's order.

    `table` and the keys of `fields` are this package's own words, never a caller's.
    """
    given = {column: value for column, value in fields.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in given) or "TRUE"
    query = f"SELECT * FROM {table} WHERE {where} ORDER BY rowid"
    rows: list[sqlite3.Row] = opened.execute(query, tuple(given.values())).fetchall()
    if name is None:
        return rows
    meant = names.matches(name, [row["name"] for row in rows])
    return [row for row in rows if row["name"] in meant]


def kind(opened: sqlite3.Connection, table: str, column: str, said: str | None) -> str | None:
    """The kind of place, as `table` spells it in `column`, that was said; as said when no place is of that kind."""
    if said is None:
        return None
    known = [str(row[0]) for row in opened.execute(f"SELECT DISTINCT {column} FROM {table}")]
    return next((value for value in known if names.same_kind(said, value)), said)


def place_name(opened: sqlite3.Connection, table: str, kind: str, said: str) -> str:
    """The full name of the place that was said; raises ValueError when no place, or more than one, is meant."""
    known = [str(row[0]) for row in opened.execute(f"SELECT name FROM {table} ORDER BY rowid")]
    return names.resolve(kind, said, known)


def trains(
    opened: sqlite3.Connection,
    departure: str | None,
    destination: str | None,
    day: str | None,
    leave_at: str | None,
    arrive_by: str | None,
) -> list[sqlite3.Row]:
    """The trains that fit, day by day: the earliest first, or the latest first when only `arrive_by` is given.

    A missing end of the journey is the home town, as every train leaves or reaches it.
    """
    known = _towns(opened)
    if departure is None and destination is None:
        departure = HOME_TOWN
    conditions = {"day = ?": day, "leave_at >= ?": leave_at, "arrive_by <= ?": arrive_by}
    given = {condition: value for condition, value in conditions.items() if value is not None}
    order = "arrive_by DESC" if arrive_by is not None and leave_at is None else "leave_at, arrive_by"
    where = " AND ".join(given) or "TRUE"
    query = f"SELECT * FROM trains WHERE {where} ORDER BY day_number, {order}, departure, destination"
    starts = known if departure is None else names.matches(departure, known)
    ends = known if destination is None else names.matches(destination, known)
    rows = opened.execute(query, tuple(given.values()))
    return [row for row in rows if row["departure"] in starts and row["destination"] in ends]


def train(opened: sqlite3.Connection, departure: str | None, destination: str, day: str, leave_at: str) -> sqlite3.Row:
    """The one train that leaves then; raises ValueError naming the towns, or the nearest times, when there is none."""
    start, end = _route(_towns(opened), departure, destination)
    query = "SELECT * FROM trains WHERE departure = ? AND destination = ? AND day = ? ORDER BY leave_at"
    rows: list[sqlite3.Row] = opened.execute(query, (start, end, day)).fetchall()
    for row in rows:
        if row["leave_at"] == leave_at:
            return row
    nearest = sorted((row["leave_at"] for row in rows), key=lambda time: abs(minutes(time) - minutes(leave_at)))[:2]
    times = listed(sorted(nearest), "and")
    raise ValueError(f"no train from {start} to {end} leaves at {leave_at} on {day}; the nearest leave at {times}")


def _route(known: Sequence[str], departure: str | None, destination: str) -> tuple[str, str]:
    end = _town(known, destination)
    if departure is None and end == HOME_TOWN:
        raise ValueError(f"departure must be given for a train to {HOME_TOWN}")
    start = HOME_TOWN if departure is None else _town(known, departure)
    if HOME_TOWN not in (start, end) or start == end:
        raise ValueError(f"no train runs from {start} to {end}: every train leaves or reaches {HOME_TOWN}")
    return start, end


def _town(known: Sequence[str], said: str) -> str:
    found = names.matches(said, known)
    if len(found) == 1:
        return found[0]
    others = listed([town for town in known if town != HOME_TOWN], "and")
    raise ValueError(f"no town is called {shown(said)}; trains run between {HOME_TOWN} and {others}")


def _towns(opened: sqlite3.Connection) -> list[str]:
    return [str(row[0]) for row in opened.execute("SELECT DISTINCT departure FROM trains ORDER BY departure")]
