"""The database file: made whole on first use, kept, shared between threads and processes, never another program's."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

from coalm_lite import demo
from coalm_lite.demo.database import connection
from coalm_lite.errors import ToolError

Call = Callable[..., dict[str, Any]]
BOOK_HOTEL: dict[str, object] = {"name": "Juniper Lodge", "people": 2, "day": "tuesday", "stay": 3}


def _guide(database: Path | None) -> Call:
    functions = {function.__name__: function for function in demo.tools(database)}
    return lambda tool, **arguments: functions[tool](**arguments)


def test_naming_the_tools_writes_nothing_and_the_first_call_makes_the_file(database: Path) -> None:
    guide = _guide(database)
    assert not database.parent.exists()
    guide("my_bookings")
    assert [entry.name for entry in database.parent.iterdir()] == ["town.sqlite3"]


def test_the_default_file_lies_in_the_data_folder(tmp_path: Path) -> None:
    _guide(None)("my_bookings")
    assert (tmp_path / "home" / "data" / "demo.sqlite3").is_file()


def test_bookings_outlive_the_tools_that_made_them(database: Path) -> None:
    booked = _guide(database)("book_hotel", **BOOK_HOTEL)
    assert _guide(database)("my_bookings")["bookings"] == [{"kind": "hotel", **booked}]


def test_threads_that_start_together_lose_no_booking(database: Path) -> None:
    threads, bookings = 8, 4
    start = threading.Barrier(threads)

    def book(_: int) -> list[str]:
        guide = _guide(database)
        start.wait()
        return [str(guide("book_hotel", **BOOK_HOTEL)["reference"]) for _ in range(bookings)]

    with ThreadPoolExecutor(threads) as pool:
        references = [reference for batch in pool.map(book, range(threads)) for reference in batch]
    assert len(set(references)) == threads * bookings
    assert _guide(database)("my_bookings")["count"] == threads * bookings
    assert _guide(database)("find_restaurants")["count"] == 60


def test_processes_that_start_together_lose_no_booking(database: Path) -> None:
    program = (
        "import pathlib, sys; from coalm_lite import demo; book = demo.tools(pathlib.Path(sys.argv[1]))[1]\n"
        "for _ in range(5): print(book(name='Juniper Lodge', people=2, day='tuesday', stay=3)['reference'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(database)]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    references = " ".join(process.communicate(timeout=60)[0] for process in running).split()
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(references)) == 15
    assert _guide(database)("my_bookings")["count"] == 15


def test_a_failure_while_the_file_is_filled_leaves_nothing_to_trust(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(lines: list[dict[str, str]]) -> NoReturn:
        raise KeyboardInterrupt(lines[0]["town"])

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("coalm_lite.demo.timetable.trains", fail)
        _guide(database)("find_hotels")
    with closing(sqlite3.connect(database)) as left:
        assert left.execute("SELECT name FROM sqlite_master").fetchall() == []
        assert left.execute("PRAGMA application_id").fetchone() == (0,)
    assert _guide(database)("find_hotels")["count"] == 30
    assert _guide(database)("find_trains")["count"] > 1000


def test_new_data_replace_the_places_and_keep_the_bookings(database: Path) -> None:
    booked = _guide(database)("book_hotel", **BOOK_HOTEL)
    with closing(sqlite3.connect(database, isolation_level=None)) as older:
        older.execute("DELETE FROM hotels")
        older.execute("PRAGMA user_version = 7")
    guide = _guide(database)
    assert guide("find_hotels")["count"] == 30
    assert guide("my_bookings")["bookings"] == [{"kind": "hotel", **booked}]


def test_a_file_that_is_up_to_date_is_not_filled_again(database: Path) -> None:
    _guide(database)("my_bookings")
    with closing(sqlite3.connect(database, isolation_level=None)) as marked:
        marked.execute("DELETE FROM hotels WHERE area = 'north'")
    assert _guide(database)("find_hotels")["count"] == 24


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "contacts.sqlite3"
    with closing(sqlite3.connect(other, isolation_level=None)) as foreign:
        foreign.execute("CREATE TABLE contacts (name TEXT)")
    before = other.read_bytes()
    with pytest.raises(ToolError, match=r"contacts\.sqlite3 is another program's database") as refused:
        _guide(other)("book_hotel", **BOOK_HOTEL)
    assert refused.value.hint
    assert other.read_bytes() == before


def test_a_text_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no database at all, only a few words of text " * 30)
    before = notes.read_bytes()
    sentence = f"the demo database {re.escape(str(notes))} cannot be used: .*not a database"
    with pytest.raises(ToolError, match=sentence) as refused:
        _guide(notes)("my_bookings")
    assert refused.value.hint
    assert notes.read_bytes() == before


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be used"):
        _guide(tmp_path)("my_bookings")
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match="cannot be used"):
        _guide(tmp_path / "file" / "town.sqlite3")("my_bookings")


def test_the_connection_is_closed_when_the_work_is_done(database: Path) -> None:
    with connection(database) as opened:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened.execute("SELECT 1")
