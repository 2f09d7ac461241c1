"""Tasks with a simulated user: who does all of a goal right succeeds, and each way of failing is told apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coalm_lite.dialects import cra
from coalm_lite.evals.items import Answer, Ask, Suite, Unit
from coalm_lite.evals.multiwoz.suite import open_suite
from coalm_lite.evals.multiwoz.task import MAX_CALLS, MAX_SILENCES, MAX_TURNS
from coalm_lite.types import JsonObject, Message
from tests.evals.multiwoz.perfect_agent import PerfectAgent, talked
from tests.evals.multiwoz.small_town import GOALS, write_goals, write_town

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "multiwoz24"
ONE, VAIN, HOTEL, RIDE = range(4)  # the goals of the small town, in their order


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    folder = write_town(tmp_path_factory.mktemp("small"))
    return open_suite(write_goals(folder, GOALS), "task")


def shares(unit: Unit) -> dict[str, tuple[float, float]]:
    return {name: (share.part, share.whole) for name, share in unit.scores.items()}


@pytest.mark.parametrize("number", range(len(GOALS)), ids=list(GOALS))
def test_who_does_everything_right_succeeds(suite: Suite, number: int) -> None:
    outcome, messages = talked(suite, PerfectAgent(suite.items[number].content), number)
    assert outcome.note == "", cra.history(messages)
    (unit,) = outcome.units
    assert shares(unit)["success"] == shares(unit)["inform"] == shares(unit)["acted"] == (1, 1)
    assert all(part == whole for part, whole in shares(unit).values())


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="MultiWOZ's files are not here")
def test_who_does_everything_right_succeeds_on_the_published_goals() -> None:
    published = open_suite(PUBLISHED, "task")
    notes = [talked(published, PerfectAgent(published.items[n].content), n)[0].note for n in range(50)]
    assert [note for note in notes if note] == []


@pytest.mark.parametrize("number", range(len(GOALS)), ids=list(GOALS))
def test_a_conversation_is_the_same_every_time(suite: Suite, number: int) -> None:
    first, second = (talked(suite, PerfectAgent(suite.items[number].content), number) for _ in range(2))
    assert first == second


class WrongVenue(PerfectAgent):
    """Names another restaurant, whatever the search showed."""

    def offer(self) -> str:
        return "the copper pot" if self.domain == "restaurant" else super().offer()


def test_a_wrong_venue_is_objected_to_and_fails(suite: Suite) -> None:
    outcome, messages = talked(suite, WrongVenue(suite.items[ONE].content), ONE)
    objections = [m.text for m in messages if m.role == "user" and ("not what I asked" in m.text or "No, " in m.text)]
    assert len(objections) == 2
    assert "indian food" in objections[0]
    assert "moderate price range" in objections[0]
    assert "in the centre" in objections[1], "the second time it says all that it wants"
    assert shares(outcome.units[0])["inform"] == shares(outcome.units[0])["success"] == (0, 1)
    assert outcome.note == "restaurant: not informed"


class Silent(PerfectAgent):
    """Tells no detail that it is asked for."""

    def details(self, attributes: tuple[str, ...]) -> str:
        return "You can find that on the website."


def test_details_that_only_a_search_showed_were_not_told(suite: Suite) -> None:
    outcome, messages = talked(suite, Silent(suite.items[ONE].content), ONE)
    assert "01223400000" in "".join(message.text for message in messages if message.role == "tool")
    assert shares(outcome.units[0]) == {
        "success": (0, 1), "inform": (1, 1), "acted": (1, 1), "booked": (0, 0), "told": (0, 3),
    }  # fmt: skip
    assert outcome.note == "restaurant: not told: phone, address, postcode"


class WrongParty(PerfectAgent):
    """Books for one more than it was told."""

    def book(self, details: JsonObject) -> Message:
        return super().book({**details, "people": int(str(details["people"])) + 1})


class Pretender(PerfectAgent):
    """Says that it has booked, and has not."""

    def book(self, details: JsonObject) -> Message:
        return self.say("It is booked, the reference is ABC123.")


@pytest.mark.parametrize("agent", [WrongParty, Pretender])
def test_a_booking_must_be_made_and_with_the_wanted_details(suite: Suite, agent: type[PerfectAgent]) -> None:
    outcome, messages = talked(suite, agent(suite.items[HOTEL].content), HOTEL)
    found = shares(outcome.units[0])
    assert (found["success"], found["acted"], found["inform"], found["booked"]) == ((0, 1), (0, 1), (1, 1), (0, 2))
    assert "hotel: not booked right" in outcome.note
    assert sum("book" in m.text for m in messages if m.role == "user") == 4, "each booking is asked for twice"


def test_what_is_to_be_had_in_vain_is_asked_for_first(suite: Suite) -> None:
    _, messages = talked(suite, PerfectAgent(suite.items[VAIN].content), VAIN)
    said = [message.text for message in messages if message.role == "user"]
    results = [message.text for message in messages if message.role == "tool"]
    assert "corsica food" in said[0]
    assert '"count": 0' in results[0]
    assert "british food" in said[1]
    assert "19:30" in said[2]
    assert "nothing is free for time 19:30" in results[2]
    assert "18:00" in said[3]


def test_a_taxi_between_two_venues_is_wanted_for_those_that_were_offered(suite: Suite) -> None:
    _, messages = talked(suite, PerfectAgent(suite.items[RIDE].content), RIDE)
    wish = next(message.text for message in messages if message.role == "user" and "taxi" in message.text)
    assert "from the place to lotus garden arriving by 20:15" in wish


def played(suite: Suite, number: int, answer: Callable[[Ask], Answer]) -> tuple[int, str, Unit]:
    """How many answers were asked for, the note and the unit."""
    play = suite.play(suite.items[number], "cra")
    ask, count = next(play), 1
    while True:
        try:
            ask = play.send(answer(ask))
        except StopIteration as end:
            return count, end.value.note, end.value.units[0]
        count += 1


def test_what_is_not_of_the_form_is_silence_and_three_end_it(suite: Suite) -> None:
    count, note, unit = played(suite, ONE, lambda ask: Answer("I do not know"))
    assert count == MAX_SILENCES
    assert note.startswith("turn 1: a step begins with Thought:, Action: or System:")
    assert shares(unit)["success"] == (0, 1)


def test_calls_without_a_word_are_bounded(suite: Suite) -> None:
    count, note, _ = played(suite, ONE, lambda ask: Answer("Action: find_restaurants(food='indian')"))
    assert count == MAX_CALLS * MAX_SILENCES
    assert f"no word to the user in {MAX_CALLS} steps" in note


def test_a_conversation_that_leads_nowhere_is_bounded(suite: Suite) -> None:
    counts = [played(suite, number, lambda ask: Answer("System: Hello."))[0] for number in range(len(GOALS))]
    assert max(counts) <= MAX_TURNS


def test_a_prompt_without_room_ends_the_conversation_with_what_was_reached(suite: Suite) -> None:
    count, note, unit = played(suite, ONE, lambda ask: Answer("", error="2078 tokens do not fit"))
    assert (count, shares(unit)["inform"]) == (1, (0, 1))
    assert note.startswith("turn 1: 2078 tokens do not fit")


def test_every_ask_goes_on_from_the_one_before(suite: Suite) -> None:
    def asks() -> Iterator[Ask]:
        agent = PerfectAgent(suite.items[HOTEL].content)
        play = suite.play(suite.items[HOTEL], "cra")
        ask = next(play)
        while True:
            yield ask
            try:
                ask = play.send(agent.answer(ask))
            except StopIteration:
                return

    seen = list(asks())
    assert len(seen) > 5
    assert all(b.messages[: len(a.messages)] == a.messages for a, b in itertools.pairwise(seen))
    assert all(ask.tools == seen[0].tools for ask in seen)
    assert [tool.name for tool in seen[0].tools][:2] == ["find_hotels", "book_hotel"]


def test_a_goal_of_no_covered_domain_is_no_item(tmp_path: Path) -> None:
    folder = write_goals(write_town(tmp_path), {"hospital": {"hospital": {"info": {"department": "x"}}}, **GOALS})
    assert [item.id for item in open_suite(folder, "task").items] == list(GOALS)
