"""MultiWOZ scoring: normalisation, accumulated states, joint goal accuracy and slot F1."""

from __future__ import annotations

import pytest

from coalm_lite.evals.multiwoz import states as multiwoz
from coalm_lite.types import Message, ToolCall


def test_thirty_slots_of_five_domains() -> None:
    assert len(multiwoz.SLOTS) == 5
    assert sum(map(len, multiwoz.SLOTS.values())) == 30
    assert [tool.name for tool in multiwoz.tools()] == list(multiwoz.SLOTS)


@pytest.mark.parametrize(
    ("raw", "normalised"),
    (
        ("I'd like TWO tables, at 17:15.", "i d like 2 tables , at 17:15 ."),
        ("Don't book it; it's in the center!", "do not book it ; it s in the centre !"),
        ("free Wi-Fi (please)", "free wifi ( please )"),
        ("It costs 4.50 pounds, or 1,000?", "it costs 4.50 pounds , or 1,000 ?"),
        ("  ", ""),
    ),
)
def test_utterances_take_the_form_of_the_training_rows(raw: str, normalised: str) -> None:
    assert multiwoz.normalise_utterance(raw) == normalised
    assert multiwoz.normalise_utterance(normalised) == normalised


def test_updates_accumulate_and_an_empty_value_removes() -> None:
    state = multiwoz.updated_state({}, [ToolCall("hotel", {"area": "North", "stars": 4, "colour": "red"})])
    assert state == {"hotel-area": "north", "hotel-stars": "4"}
    state = multiwoz.updated_state(state, [ToolCall("hotel", {"area": None}), ToolCall("spa", {"area": "east"})])
    assert state == {"hotel-stars": "4"}


def test_updates_between_two_states_lead_from_one_to_the_other() -> None:
    before = {"hotel-area": "north", "train-day": "monday"}
    after = {"hotel-area": "south", "train-day": "monday", "train-book people": "2"}
    updates = multiwoz.updates_between(before, after)
    assert updates == (ToolCall("hotel", {"area": "south"}), ToolCall("train", {"book people": "2"}))
    assert multiwoz.updated_state(before, updates) == after


def test_joint_goal_accuracy_wants_every_slot_and_takes_any_alternative() -> None:
    gold = {"hotel-name": "acorn|the acorn", "hotel-area": "none"}
    assert multiwoz.states_equal({"hotel-name": "The  Acorn"}, gold)
    assert not multiwoz.states_equal({"hotel-name": "acorn", "hotel-area": "east"}, gold)
    assert not multiwoz.states_equal({}, gold)


def test_scores_count_turns_and_slots() -> None:
    pairs = [
        ({"hotel-area": "north"}, {"hotel-area": "north"}),
        ({"hotel-area": "north", "hotel-stars": "3"}, {"hotel-area": "north", "hotel-stars": "4"}),
        ({}, {}),
    ]
    score = multiwoz.score_states(pairs)
    assert (score.joint_goal_accuracy, score.turns) == (pytest.approx(2 / 3), 3)
    assert score.slot_f1 == pytest.approx(2 * 2 / 6)


def test_the_history_alternates_and_leaves_out_what_was_not_said() -> None:
    messages = multiwoz.dialogue_messages([("", "Hi!"), ("Hello.", "A train")])
    assert messages == (Message("user", "hi !"), Message("assistant", "hello ."), Message("user", "a train"))
