"""The databases as tools, and goals read against them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError
from coalm_lite.evals.multiwoz.goals import read_goal
from coalm_lite.evals.multiwoz.talk import Talk
from coalm_lite.evals.multiwoz.town import Town, open_town
from coalm_lite.tools import tool_from_function
from coalm_lite.types import JsonObject, ToolCall
from tests.evals.multiwoz.small_town import GOALS, write_town


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def town(folder: Path) -> Town:
    return open_town(folder)


def talk(town: Town, goal: str = "one-venue") -> Talk:
    return Talk(read_goal(GOALS[goal], town), town, tuple(map(tool_from_function, town.functions)))  # type: ignore[arg-type]


def result(talk: Talk, tool: str, /, **arguments: object) -> JsonObject:
    value = json.loads(talk.call(ToolCall(tool, arguments)).text)  # type: ignore[arg-type]
    assert isinstance(value, dict)
    return value


def names(found: JsonObject) -> list[object]:
    rows = next(value for value in found.values() if isinstance(value, list))
    return [row["name"] if "name" in row else row["leave_at"] for row in rows if isinstance(row, dict)]


@pytest.mark.parametrize(
    ("tool", "arguments", "found"),
    [
        ("find_hotels", {"area": "north"}, ["ivy house", "the anchor inn"]),
        ("find_hotels", {"parking": True, "internet": False}, ["anchor inn annexe"]),
        ("find_hotels", {"type": "guest house", "stars": 4}, ["ivy house"]),
        ("find_hotels", {"name": "Anchor Inn"}, ["the anchor inn"]),
        ("find_restaurants", {"food": "Indian"}, ["tandoor tree"]),
        ("find_restaurants", {"food": "thai"}, []),
        ("find_attractions", {"type": "swimming pools"}, ["hilltop pools"]),
        ("find_trains", {"departure": "ely", "day": "friday", "leave_at": "9:30"}, ["09:50", "13:50"]),
        ("find_trains", {"departure": "ely", "day": "friday", "arrive_by": "15:00"}, ["13:50", "09:50"]),
        ("find_trains", {"departure": "paris"}, []),
    ],
)
def test_a_search_wants_every_given_argument(town: Town, tool: str, arguments: JsonObject, found: list[str]) -> None:
    assert names(result(talk(town), tool, **arguments)) == found


def test_results_hold_all_that_goals_ask_for(town: Town) -> None:
    shown = result(talk(town), "find_hotels", name="ivy house")
    assert shown == {
        "count": 1,
        "hotels": [
            {
                "name": "ivy house", "type": "guest house", "area": "north", "pricerange": "cheap", "stars": 4,
                "parking": True, "internet": True, "phone": "01223300000", "address": "3 mill lane",
                "postcode": "cb40aa",
            }
        ],
    }  # fmt: skip
    train = result(talk(town), "find_trains", departure="ely", day="sunday")["trains"]
    assert isinstance(train, list) and isinstance(train[0], dict)
    assert {"train_id", "price", "duration", "leave_at", "arrive_by"} <= train[0].keys()


def test_equal_bookings_have_equal_references_and_others_have_others(town: Town) -> None:
    stay = {"name": "ivy house", "people": 2, "day": "friday", "stay": 3}
    first, second = (result(talk(town), "book_hotel", **stay) for _ in range(2))
    other = result(talk(town), "book_hotel", **{**stay, "stay": 4})
    assert first == second
    assert first["reference"] != other["reference"]
    ride = result(talk(town), "book_taxi", departure="ivy house", destination="ely", leave_at="9:05")
    assert ride["leave_at"] == "09:05"
    assert len(str(ride["phone"])) == 11
    assert str(ride["car"]).split()[0] in {"red", "blue"}


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("book_hotel", {"name": "ivy", "people": 0, "day": "friday", "stay": 1}, "people must be"),
        (
            "book_hotel",
            {"name": "the grand", "people": 1, "day": "friday", "stay": 1},
            "no hotel is called 'the grand'",
        ),
        ("book_restaurant", {"name": "tandoor tree", "people": 1, "day": "friday", "time": "25:00"}, "time must be"),
        (
            "book_train",
            {"departure": "ely", "destination": "cambridge", "day": "friday", "leave_at": "10:00"},
            "no train",
        ),
        ("book_taxi", {"departure": "a", "destination": "b"}, "leave_at or arrive_by"),
        ("find_hotels", {"area": "upstairs"}, "area"),
    ],
)
def test_what_cannot_be_is_told_in_words(town: Town, tool: str, arguments: JsonObject, words: str) -> None:
    assert words in str(result(talk(town), tool, **arguments)["error"])


def test_bookings_are_listed(town: Town) -> None:
    conversation = talk(town)
    assert result(conversation, "my_bookings") == {"count": 0, "bookings": []}
    booked = result(conversation, "book_hotel", name="ivy house", people=1, day="friday", stay=1)
    assert result(conversation, "my_bookings") == {"count": 1, "bookings": [{"kind": "hotel", **booked}]}


def test_the_last_words_that_name_something_stand_as_the_offer(town: Town) -> None:
    conversation = talk(town)
    result(conversation, "find_restaurants", food="indian")
    assert conversation.offered == {}, "nothing was said yet"
    conversation.hear("restaurant", "I found one.")
    assert [row["name"] for row in conversation.offered["restaurant"]] == ["tandoor tree"]
    conversation.hear("restaurant", "How about the Lotus Garden?")
    assert [row["name"] for row in conversation.offered["restaurant"]] == ["lotus garden"]
    result(conversation, "find_restaurants", area="centre")
    conversation.hear("restaurant", "It is in the centre.")
    assert [row["name"] for row in conversation.offered["restaurant"]] == ["lotus garden"], "the search has it too"
    result(conversation, "book_restaurant", name="copper pot", people=1, day="friday", time="18:00")
    assert [row["name"] for row in conversation.offered["restaurant"]] == ["the copper pot"]
    conversation.hear("taxi", "A taxi to tandoor tree.")
    assert [row["name"] for row in conversation.offered["restaurant"]] == ["the copper pot"]


def test_domains_come_in_the_order_of_the_message_and_a_taxi_last(town: Town) -> None:
    order = [[goal.domain for goal in read_goal(raw, town).domains] for raw in GOALS.values()]
    assert order == [["restaurant"], ["restaurant"], ["train", "hotel"], ["attraction", "restaurant", "taxi"]]


def test_a_first_wish_that_could_be_met_is_left_out(town: Town) -> None:
    met = {"restaurant": {"info": {"food": "indian"}, "fail_info": {"food": "chinese"}}}
    assert read_goal(met, town).domains[0].first_wanted == {}  # type: ignore[arg-type]
    assert read_goal(GOALS["first-choices-in-vain"], town).domains[0].first_wanted["food"] == "corsica"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"), [("hotel", '{"a": 1}'), ("train", '[{"trainID": "TR1"}]'), ("taxi", "[]"), ("hotel", "[1]")]
)
def test_a_table_of_another_form_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write_town(tmp_path)
    (folder / "db" / f"{name}_db.json").write_text(content, encoding="utf-8")
    with pytest.raises(StoreError, match=f"{name}_db") as refused:
        open_town(folder)
    assert "coalm-lite data fetch multiwoz" in refused.value.hint
