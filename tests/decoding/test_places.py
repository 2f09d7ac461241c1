"""Which lane a request gets, and what waits for whom: on lanes that are lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from coalm_lite.decoding.lanes import Rows
from coalm_lite.decoding.places import Places, Slot
from coalm_lite.decoding.requests import Request
from coalm_lite.decoding.writer import Writer
from coalm_lite.runtime.base import Cancel, Stretch
from coalm_lite.types import Sampling

TOOLS = [*range(100, 200)]
SAID = [*range(200, 290)]


class Held:
    """Lanes with a common room, which compute nothing."""

    batch_tokens = 512

    def __init__(self, *held: Sequence[int], room: int = 10_000, verifies: bool = True) -> None:
        self.lanes = [[*tokens] for tokens in held]
        self.count = len(held)
        self.verifies = verifies
        self._room = room

    def held(self, lane: int) -> Sequence[int]:
        return self.lanes[lane]

    def free_tokens(self) -> int:
        return self._room - sum(map(len, self.lanes))

    def reused(self, lane: int) -> int:
        return 0

    def begin(self, lane: int, tokens: Sequence[int]) -> int:
        raise AssertionError("not the places' work")

    def cut(self, lane: int, count: int) -> int:
        del self.lanes[lane][count:]
        return len(self.lanes[lane])

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> Sequence[Rows]:
        raise AssertionError("not the places' work")


def slot(number: int, lane: int, prompt: Sequence[int], max_tokens: int = 100) -> Slot:
    return Slot(number, Request(prompt, Sampling(max_tokens=max_tokens)), lane, cast(Writer, None), None)


def lane_for(places: Places, prompt: Sequence[int]) -> int:
    return places.lane_for(places.shared(prompt))


def test_a_conversation_goes_on_where_it_was() -> None:
    lanes = Held([*TOOLS, 1, 2, 3], [*TOOLS, *SAID], [*TOOLS, 7, 8], [])
    assert lane_for(Places(lanes, 2), [*TOOLS, *SAID, 5]) == 1


def test_a_new_conversation_takes_no_other_ones_lane_while_there_is_one_with_little_in_it() -> None:
    lanes = Held([*TOOLS, *SAID], [*TOOLS, 1, 2, 3], [*TOOLS, *SAID[::-1]])
    assert lane_for(Places(lanes, 2), [*TOOLS, 9, 9]) == 1


def test_else_it_takes_the_longest_unused() -> None:
    lanes = Held([*TOOLS, *SAID], [*TOOLS, *SAID[1:]], [*TOOLS, *SAID[2:]])
    places = Places(lanes, 3)
    for number, lane in enumerate((1, 0, 2), 1):
        places.enter(slot(number, lane, TOOLS))
    places.slots.clear()
    assert lane_for(places, [*TOOLS, 9, 9]) == 1


def test_no_more_answers_at_once_than_wanted_or_than_there_are_lanes() -> None:
    for most, lanes in ((2, 4), (4, 2)):
        places = Places(Held(*[[]] * lanes), most)
        for number in range(2):
            assert not places.full
            places.enter(slot(number, number, TOOLS))
        assert places.full


@pytest.mark.parametrize("verifies", [True, False])
def test_a_prompt_waits_for_what_another_computes_of_it_if_that_can_be_shared(verifies: bool) -> None:
    places = Places(Held([], [], verifies=verifies), 2)
    prompt = [*TOOLS, 1]
    places.enter(slot(1, 0, [*TOOLS, *SAID]))
    assert places.soon_shared(prompt, places.shared(prompt)) == verifies
    assert not places.soon_shared(SAID, places.shared(SAID))
    places.slots[0].prefilled_at = 1.0
    assert not places.soon_shared(prompt, places.shared(prompt))


def test_what_is_held_already_is_not_waited_for() -> None:
    places = Places(Held([], TOOLS), 2)
    prompt = [*TOOLS, 1]
    places.enter(slot(1, 0, [*TOOLS, *SAID]))
    assert not places.soon_shared(prompt, places.shared(prompt))


def test_room_is_made_from_the_longest_unused_lanes_but_not_from_what_is_shared() -> None:
    lanes = Held(TOOLS, SAID, [*TOOLS, 5], [], room=400)
    places = Places(lanes, 3)
    for number, lane in enumerate((1, 2, 0), 1):
        places.enter(slot(number, lane, TOOLS))
    places.slots.clear()
    asked = Request([*TOOLS, 1, 2], Sampling(max_tokens=150))
    assert places.fits(asked, places.shared(asked.prompt))
    assert [len(held) for held in lanes.lanes] == [100, 0, 101, 0]
    places.enter(slot(4, 3, SAID, max_tokens=300))
    assert not places.fits(asked, places.shared(asked.prompt))
