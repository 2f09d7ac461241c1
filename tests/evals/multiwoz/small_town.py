"""A small invented town in the published form of MultiWOZ's databases, and goals in it, as a data folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

HOTELS = [
    ("ivy house", "guesthouse", "north", "cheap", "4", "yes", "yes", "3 mill lane", "cb40aa"),
    ("the anchor inn", "hotel", "north", "expensive", "3", "no", "yes", "8 quay road", "cb40ab"),
    ("anchor inn annexe", "hotel", "south", "expensive", "3", "yes", "no", "9 quay road", "cb10ac"),
]
RESTAURANTS = [
    ("tandoor tree", "indian", "centre", "moderate", "12 bridge street", "cb21aa"),
    ("lotus garden", "chinese", "centre", "cheap", "4 market hill", "cb21ab"),
    ("the copper pot", "british", "west", "expensive", "1 elm road", "cb30aa"),
]
ATTRACTIONS = [
    ("old mill museum", "museum", "centre", "free", "mill lane", "cb21ba"),
    ("hilltop pools", "swimmingpool", "west", "4 pounds", "hill road", "cb30bb"),
    ("the place", "theatre", "north", "?", "9 king street", "cb40cc"),
]


def write_town(folder: Path) -> Path:
    """Writes `db` under `folder`, the trains gzipped as they are published with this project's data."""
    tables = {
        "hotel": [_hotel(number, *row) for number, row in enumerate(HOTELS)],
        "restaurant": [_restaurant(number, *row) for number, row in enumerate(RESTAURANTS)],
        "attraction": [_attraction(number, *row) for number, row in enumerate(ATTRACTIONS)],
        "taxi": [{"taxi_colors": ["red", "blue"], "taxi_types": ["skoda", "volvo"], "taxi_phone": ["^[0-9]{10}$"]}],
    }
    (folder / "db").mkdir(parents=True)
    for name, rows in tables.items():
        (folder / "db" / f"{name}_db.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "db" / "train_db.json.gz").write_bytes(gzip.compress(json.dumps(_trains()).encode()))
    return folder


def write_goals(folder: Path, goals: dict[str, dict[str, object]]) -> Path:
    """Writes a test file with a dialogue of one turn for each goal."""
    turn = {"system": "", "user": "Hello.", "state": {}}
    lines = [json.dumps({"dialogue_id": name, "goal": goal, "turns": [turn]}) for name, goal in goals.items()]
    (folder / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def _hotel(n: int, name: str, kind: str, area: str, price: str, stars: str, park: str, net: str, *place: str) -> object:
    features = {"stars": stars, "parking": park, "internet": net, "phone": f"0122330000{n}"}
    ends = dict(zip(("address", "postcode"), place, strict=True))
    return {"name": name, "type": kind, "area": area, "pricerange": price, **features, **ends, "takesbookings": "yes"}


def _restaurant(n: int, name: str, food: str, area: str, price: str, address: str, postcode: str) -> object:
    ends = {"address": address, "postcode": postcode, "phone": f"0122340000{n}", "type": "restaurant"}
    return {"name": name, "food": food, "area": area, "pricerange": price, **ends}


def _attraction(n: int, name: str, kind: str, area: str, fee: str, address: str, postcode: str) -> object:
    ends = {"address": address, "postcode": postcode, "phone": f"0122350000{n}"}
    return {"name": name, "type": kind, "area": area, "entrance fee": fee, **ends}


def _trains() -> list[object]:
    routes = (("cambridge", "ely"), ("ely", "cambridge"))
    return [
        {
            "trainID": f"TR{n}{hour:02d}{day[:1]}", "departure": start, "destination": end, "day": day,
            "leaveAt": f"{hour:02d}:50", "arriveBy": f"{hour + 1:02d}:07",
            "price": "4.40 pounds", "duration": "17 minutes",
        }
        for n, (start, end) in enumerate(routes)
        for day in ("friday", "sunday")
        for hour in (5, 9, 13, 17, 21)
    ]  # fmt: skip


GOALS: dict[str, dict[str, object]] = {
    "one-venue": {
        "restaurant": {
            "info": {"food": "indian", "area": "centre", "pricerange": "moderate"}, "fail_info": {},
            "reqt": ["phone", "address", "postcode"],
        },
        "message": ["You are looking for a <span>restaurant</span>."],
    },
    "first-choices-in-vain": {
        "restaurant": {
            "info": {"food": "british", "area": "west"}, "fail_info": {"food": "corsica", "area": "west"},
            "book": {"people": "2", "day": "friday", "time": "18:00", "invalid": False},
            "fail_book": {"time": "19:30"},
        },
        "message": ["You are looking for a restaurant."],
    },
    "hotel-and-train": {
        "hotel": {
            "info": {"type": "guesthouse", "parking": "yes", "area": "north", "stars": "4"}, "fail_info": {},
            "book": {"people": "1", "day": "sunday", "stay": "1"}, "reqt": ["internet", "pricerange", "phone"],
        },
        "train": {
            "info": {"departure": "ely", "destination": "cambridge", "day": "sunday", "arriveBy": "14:30"},
            "fail_info": {}, "book": {"people": "3"}, "reqt": ["price", "trainID", "duration", "leaveAt"],
        },
        "message": ["You are looking for a train.", "You are also looking for a place to stay."],
    },
    "ride-between-two": {
        "attraction": {"info": {"name": "the place"}, "reqt": ["entrance fee", "type", "area"], "fail_info": {}},
        "restaurant": {"info": {"food": "chinese"}, "reqt": [], "fail_info": {}},
        "taxi": {"info": {"arriveBy": "20:15"}, "reqt": ["car type", "phone"], "fail_info": {}},
        "hospital": {},
        "message": [
            "You are looking for places to go in town.", "You are also looking for a restaurant.",
            "You want a taxi to commute between the two places",
            "make sure it arrives the restaurant by the booked time",
        ],
    },
}  # fmt: skip
