"""The town guide of Marlowick, a fictional town: nine tools over one SQLite file, to talk to without any real service.

Hotels, restaurants, attractions, trains and taxis are invented and stand in this folder's CSV files. `tools` gives the
functions, named and with arguments as in MultiWOZ; bookings persist in the database file. Nothing is sold out and
nothing can be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coalm_lite import paths
from coalm_lite.demo.guide import TownGuide
from coalm_lite.demo.timetable import HOME_TOWN
from coalm_lite.types import JsonValue

__all__ = ["HOME_TOWN", "tools"]


def tools(database: Path | None = None) -> list[Callable[..., dict[str, JsonValue]]]:
    """The guide's functions, bound to the database file `database` (default: `demo.sqlite3` in the user's data folder).

    The file is created by the first call of any of them, not here.
    """
    guide = TownGuide(database or paths.data_dir() / "demo.sqlite3")
    return [
        guide.find_hotels,
        guide.book_hotel,
        guide.find_restaurants,
        guide.book_restaurant,
        guide.find_attractions,
        guide.find_trains,
        guide.book_train,
        guide.book_taxi,
        guide.my_bookings,
    ]
