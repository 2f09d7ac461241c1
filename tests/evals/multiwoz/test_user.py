"""The simulated user's turns: what it answers to a question, and what it asks for when it was offered nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.evals.multiwoz.goals import DomainGoal, Goal
from coalm_lite.evals.multiwoz.talk import Talk
from coalm_lite.evals.multiwoz.town import Town, open_town
from coalm_lite.evals.multiwoz.user import User
from coalm_lite.evals.multiwoz.wording import slots_asked
from coalm_lite.tools import tool_from_function
from coalm_lite.types import ToolCall
from tests.evals.multiwoz.small_town import write_town

HOTEL = DomainGoal("hotel", {"type": "guest house", "area": "north", "stars": 4}, requested=("phone",))
STAY = DomainGoal("hotel", {"area": "north"}, booking={"people": 2, "day": "friday", "stay": 1})
NAMED = DomainGoal("restaurant", {"name": "lotus garden"}, requested=("phone",))
TRAIN = DomainGoal("train", {"departure": "ely", "destination": "cambridge", "day": "friday", "leave_at": "09:00"})


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return open_town(write_town(tmp_path_factory.mktemp("town")))


class Scene:
    """A user who has said its first words."""

    def __init__(self, town: Town, *goals: DomainGoal) -> None:
        self.talk = Talk(Goal(goals), town, tuple(map(tool_from_function, town.functions)))
        self.user = User(self.talk, "seed")
        self.opening = self.user.opening()

    def hears(self, words: str, *calls: ToolCall) -> str | None:
        for call in calls:
            assert self.talk.call(call).ok
        self.talk.hear(self.user.domain, words)
        return self.user.reply(words)


def test_it_begins_with_two_constraints_and_tells_the_rest_later(town: Town) -> None:
    scene = Scene(town, HOTEL)
    assert "guest house" in scene.opening
    assert "in the north" in scene.opening
    assert "stars" not in scene.opening
    assert "with 4 stars" in str(scene.hears("There are many."))


def test_a_question_is_answered_with_the_goals_value(town: Town) -> None:
    scene = Scene(town, TRAIN)
    assert str(scene.hears("What time would you like to leave?")).endswith("leaving after 09:00.")
    assert str(scene.hears("On which day?")).endswith("on friday.")


def test_what_the_goal_lacks_does_not_matter(town: Town) -> None:
    scene = Scene(town, STAY)
    answer = str(scene.hears("Which price range, and do you need parking?"))
    assert "the price range and parking" in answer
    assert scene.hears("Which price range?") != answer, "it says so once"


def test_no_booking_is_wanted_where_the_goal_has_none(town: Town) -> None:
    scene = Scene(town, HOTEL)
    scene.hears("There are many.")
    call = ToolCall("find_hotels", {"name": "ivy house"})
    answer = str(scene.hears("How about Ivy House? Would you like me to book it?", call))
    assert "book" in answer
    assert "phone number of ivy house" in answer


def test_the_booking_is_wanted_with_all_details_once_a_venue_is_offered(town: Town) -> None:
    scene = Scene(town, STAY)
    answer = str(scene.hears("How about the Ivy House?"))
    assert "ivy house for 2 people for 1 night starting on friday" in answer


def test_it_asks_for_a_venue_twice_and_then_gives_up(town: Town) -> None:
    scene = Scene(town, DomainGoal("attraction", {"type": "park"}), NAMED)
    answers = [str(scene.hears("Hello.")) for _ in range(3)]
    assert ["restaurant" in answer for answer in answers] == [False, False, True]


def test_a_venue_that_it_named_itself_need_not_be_named_again(town: Town) -> None:
    scene = Scene(town, NAMED)
    answer = scene.hears("I found one.", ToolCall("find_restaurants", {"name": "lotus garden"}))
    assert "phone number" in str(answer)


def test_it_repeats_itself_where_nothing_was_said(town: Town) -> None:
    scene = Scene(town, HOTEL)
    assert scene.hears(" ") == f"Sorry, I did not get that. {scene.opening}"


def test_it_ends_when_all_is_told(town: Town) -> None:
    scene = Scene(town, NAMED)
    assert scene.hears("Lotus Garden has the phone number 01223400001.") is None


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("What part of town would you like?", ["area"]),
        ("It is in the north area. Anything else?", []),
        ("Do you have a price range or cuisine in mind?", ["pricerange", "food"]),
        ("Would you like a guesthouse or a hotel, and how many stars?", ["type", "stars"]),
    ],
)
def test_only_questions_ask_for_slots(words: str, asked: list[str]) -> None:
    assert slots_asked(words, ("area", "pricerange", "food", "type", "stars")) == asked


def test_the_wording_is_the_seeds(tmp_path: Path) -> None:
    town = open_town(write_town(tmp_path))
    talk = Talk(Goal((HOTEL,)), town, ())
    assert User(talk, "a").opening() == User(talk, "a").opening()
    assert len({User(talk, str(seed)).opening() for seed in range(20)}) > 1
