"""The SQLite file of the guide: made on first use from the CSV files beside this module, safe to share.

Every call opens its own connection, so threads and processes may call at once; writers wait for each other. Creating
the file is one transaction: a process that dies in it leaves nothing behind that the next one would trust. When the
CSV files change with a new version, the places and trains are filled in anew and the bookings stay.
"""

from __future__ import annotations

import csv
import functools
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

from coalm_lite.demo import timetable
from coalm_lite.errors import ToolError

BUSY_TIMEOUT_S = 20.0
_APPLICATION_ID = 0x4D41524C  # "MARL": marks the file as this guide's
_PLACES = {
    "hotels": "name TEXT PRIMARY KEY, type TEXT, area TEXT, pricerange TEXT, stars INTEGER, parking INTEGER,"
    " internet INTEGER, phone TEXT",
    "restaurants": "name TEXT PRIMARY KEY, food TEXT, area TEXT, pricerange TEXT, phone TEXT",
    "attractions": "name TEXT PRIMARY KEY, type TEXT, area TEXT, fee_pounds INTEGER, phone TEXT",
    "taxis": "car TEXT PRIMARY KEY, phone TEXT",
}
_TRAINS = (
    "departure TEXT, destination TEXT, day TEXT, day_number INTEGER, leave_at TEXT, arrive_by TEXT,"
    " price_pence INTEGER, PRIMARY KEY (departure, destination, day, leave_at)"
)
_BOOKINGS = "number INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, details TEXT NOT NULL"
_YES_NO = {"yes": 1, "no": 0}


@contextmanager
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    """An open connection to the guide's file, which exists and is filled by then; closed at the end.

    Raises ToolError when the file cannot be opened, written or is something else.
    """
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as opened:
            opened.row_factory = sqlite3.Row
            _bring_up_to_date(opened, database)
            yield opened
    except (OSError, sqlite3.Error) as error:
        hint = "check that the folder can be written and has room, or that no other program holds the file"
        raise ToolError(f"the demo database {database} cannot be used: {error}", hint) from error


def _bring_up_to_date(opened: sqlite3.Connection, database: Path) -> None:
    if _marks(opened) == (_APPLICATION_ID, _fingerprint()):
        return
    with opened:  # commits, or rolls back on an error
        opened.execute("BEGIN IMMEDIATE")
        application, fingerprint = _marks(opened)  # again, now that no other process can be filling it
        if application != _APPLICATION_ID and opened.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise ToolError(f"{database} is another program's database", "name another file for the demo's bookings")
        if fingerprint != _fingerprint():
            _fill(opened)


def _marks(opened: sqlite3.Connection) -> tuple[int, int]:
    application: int = opened.execute("PRAGMA application_id").fetchone()[0]
    fingerprint: int = opened.execute("PRAGMA user_version").fetchone()[0]
    return application, fingerprint


def _fill(opened: sqlite3.Connection) -> None:
    opened.execute(f"CREATE TABLE IF NOT EXISTS bookings ({_BOOKINGS})")
    for table, columns in _PLACES.items():
        _replace(opened, table, columns, [tuple(row.values()) for row in _rows(table)])
    _replace(opened, "trains", _TRAINS, list(timetable.trains(_rows("lines"))))
    opened.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    opened.execute(f"PRAGMA user_version = {_fingerprint()}")


def _replace(opened: sqlite3.Connection, table: str, columns: str, rows: list[tuple[str | int, ...]]) -> None:
    opened.execute(f"DROP TABLE IF EXISTS {table}")
    opened.execute(f"CREATE TABLE {table} ({columns})")
    marks = ", ".join("?" * len(rows[0]))
    stored = ([_YES_NO.get(value, value) if isinstance(value, str) else value for value in row] for row in rows)
    opened.executemany(f"INSERT INTO {table} VALUES ({marks})", stored)


def _rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(table).splitlines()))


def _text(table: str) -> str:
    return resources.files("coalm_lite.demo").joinpath(f"{table}.csv").read_text(encoding="utf-8")


@functools.cache
def _fingerprint() -> int:
    """A 31-bit number that changes with the data and its layout."""
    told = [*map(_text, (*_PLACES, "lines")), *_PLACES.values(), _TRAINS]
    return zlib.crc32("\n".join(told).encode()) & 0x7FFFFFFF
