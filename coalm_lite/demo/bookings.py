"""Bookings: what was booked, under a reference number that is used once.

A booking is written by one statement after every check, so there is no half of one.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable

from coalm_lite.errors import ToolError
from coalm_lite.types import JsonValue

REFERENCE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without 0 and O, 1 and I: they are read for one another
REFERENCE_LENGTH = 6
LISTED_BOOKINGS = 10
_ATTEMPTS = 100


def draw_reference() -> str:
    """A random reference number, perhaps one that is used already."""
    return "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(REFERENCE_LENGTH))


def add(
    opened: sqlite3.Connection, kind: str, details: dict[str, JsonValue], draw: Callable[[], str] = draw_reference
) -> dict[str, JsonValue]:
    """The booking as stored: its new reference, then `details`."""
    for _ in range(_ATTEMPTS):
        reference = draw()
        statement = "INSERT INTO bookings (reference, kind, details) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        if opened.execute(statement, (reference, kind, json.dumps(details, ensure_ascii=False))).rowcount == 1:
            return {"reference": reference, **details}
    raise ToolError(f"no free reference number in {_ATTEMPTS} draws", "start a new database file: this one is full")


def overview(opened: sqlite3.Connection) -> dict[str, JsonValue]:
    """How many bookings there are, and the newest `LISTED_BOOKINGS` of them, the oldest of those first.

    The list is bounded because a model has to read it.
    """
    count: int = opened.execute("SELECT count(*) FROM bookings").fetchone()[0]
    newest = "SELECT * FROM bookings ORDER BY number DESC LIMIT ?"
    rows = opened.execute(newest, (LISTED_BOOKINGS,)).fetchall()
    listed: list[JsonValue] = [
        {"kind": row["kind"], "reference": row["reference"], **json.loads(row["details"])} for row in reversed(rows)
    ]
    return {"count": count, "bookings": listed}
