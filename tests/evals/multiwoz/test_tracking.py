"""State tracking as a suite: what each turn is asked with, how answers accumulate, and the two ways they are scored."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError, UsageError
from coalm_lite.evals.items import Answer, Ask, Outcome, Share
from coalm_lite.evals.multiwoz import states
from coalm_lite.evals.multiwoz.dialogues import read_dialogues
from coalm_lite.evals.multiwoz.suite import open_suite
from coalm_lite.types import Message

GOAL = {"hotel": {"info": {"area": "north"}}, "taxi": {}, "message": ["A place to stay."]}
TURNS = [
    {"system": "", "user": "A hotel in the north, please.", "state": {"hotel-area": "north"}},
    {"system": "Which price?", "user": "Cheap!", "state": {"hotel-area": "north", "hotel-pricerange": "cheap|low"}},
    {"system": "Booked.", "user": "Thanks.", "state": {"hotel-area": "north", "hotel-pricerange": "cheap|low"}},
]
AREA = '[{"domain": "hotel", "slot_values": {"area": "north"}}]'
PRICE = '[{"domain": "hotel", "slot_values": {"pricerange": "cheap"}}]'


def folder_of(path: Path, *dialogues: object) -> Path:
    lines = "\n".join(json.dumps(dialogue) for dialogue in dialogues)
    (path / "test_a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return path


def dialogue(name: str = "SNG1.json", **changes: object) -> dict[str, object]:
    return {"dialogue_id": name, "goal": GOAL, "turns": TURNS, **changes}


def played(folder: Path, answers: Sequence[Answer]) -> tuple[list[Ask], Outcome]:
    suite = open_suite(folder)
    play = suite.play(suite.items[0], "dst")
    asks = [next(play)]
    for answer in answers[:-1]:
        asks.append(play.send(answer))
    with pytest.raises(StopIteration) as end:
        play.send(answers[-1])
    outcome = end.value.value
    assert isinstance(outcome, Outcome)
    return asks, outcome


def test_every_user_turn_is_asked_with_the_words_until_then(tmp_path: Path) -> None:
    asks, outcome = played(folder_of(tmp_path, dialogue()), [Answer(AREA), Answer(PRICE), Answer("[]")])
    assert [ask.messages[-1].text for ask in asks] == ["a hotel in the north , please .", "cheap !", "thanks ."]
    assert asks[1].messages[1] == Message("assistant", "which price ?")
    assert all(later.messages[: len(ask.messages)] == ask.messages for ask, later in itertools.pairwise(asks))
    assert all(ask.tools == states.tools() for ask in asks)
    assert [unit.id for unit in outcome.units] == ["SNG1/1", "SNG1/2", "SNG1/3"]
    assert outcome.note == ""


def test_right_updates_pass_every_turn_and_an_alternative_counts(tmp_path: Path) -> None:
    _, outcome = played(folder_of(tmp_path, dialogue()), [Answer(AREA), Answer(PRICE), Answer("[]")])
    for unit, slots in zip(outcome.units, (1, 2, 2), strict=True):
        assert unit.scores["joint_goal_accuracy"] == unit.scores["gold_joint_goal_accuracy"] == Share(1)
        assert unit.scores["slot_f1"] == unit.scores["gold_slot_f1"] == Share(2 * slots, 2 * slots)


def test_an_early_slip_stays_in_the_own_state_but_not_in_the_gold_one(tmp_path: Path) -> None:
    _, outcome = played(folder_of(tmp_path, dialogue()), [Answer("[]"), Answer(PRICE), Answer("[]")])
    assert [unit.scores["joint_goal_accuracy"].part for unit in outcome.units] == [0, 0, 0]
    assert [unit.scores["gold_joint_goal_accuracy"].part for unit in outcome.units] == [0, 1, 1]
    assert outcome.units[1].scores["slot_f1"] == Share(2, 3)
    assert outcome.units[1].scores["gold_slot_f1"] == Share(4, 4)


def test_what_is_not_of_the_form_changes_nothing_and_is_noted(tmp_path: Path) -> None:
    answers = [Answer(AREA), Answer('[{"domain": "hot', cut=True), Answer("", error="the prompt has 9000 tokens")]
    _, outcome = played(folder_of(tmp_path, dialogue()), answers)
    assert [unit.scores["joint_goal_accuracy"].part for unit in outcome.units] == [1, 0, 0]
    assert outcome.note.startswith("turn 2: ")
    assert outcome.note.endswith("turn 3: the prompt has 9000 tokens")


def test_slot_scores_pool_to_the_f1_of_all_turns(tmp_path: Path) -> None:
    _, outcome = played(folder_of(tmp_path, dialogue()), [Answer("[]"), Answer(PRICE), Answer("[]")])
    shares = [unit.scores["slot_f1"] for unit in outcome.units]
    own = [{}, {"hotel-pricerange": "cheap"}, {"hotel-pricerange": "cheap"}]
    score = states.score_states((found, turn["state"]) for found, turn in zip(own, TURNS, strict=True))  # type: ignore[misc]
    assert sum(s.part for s in shares) / sum(s.whole for s in shares) == pytest.approx(score.slot_f1)


def test_strata_count_the_domains_of_the_goal(tmp_path: Path) -> None:
    two = {**GOAL, "taxi": {"info": {"leaveAt": "10:00"}}, "police": {"info": {"x": 1}}}
    suite = open_suite(folder_of(tmp_path, dialogue(), dialogue("MUL2.json", goal=two)))
    assert [(item.id, item.stratum, item.cluster) for item in suite.items] == [
        ("SNG1", "1 domain", "SNG1"),
        ("MUL2", "2 domains", "MUL2"),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"goal": None}, "dialogue 2 lacks"),
        ({"turns": []}, "dialogue 2 lacks"),
        ({"turns": [{"user": "Hi."}]}, "dialogue 2 has a turn without"),
        ({"dialogue_id": "SNG1.json"}, "two dialogues of one id"),
    ],
)
def test_a_file_of_another_form_is_named_with_the_place(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    folder = folder_of(tmp_path, dialogue(), {**dialogue("B.json"), **changes})
    with pytest.raises(StoreError, match=words) as refused:
        read_dialogues(folder)
    assert "coalm-lite data fetch multiwoz" in refused.value.hint


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no part 'live'"):
        open_suite(folder_of(tmp_path, dialogue()), "live")
