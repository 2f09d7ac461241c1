"""API-Bank's one-call form: what is asked, in which order, and how an answer is scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coalm_lite import dialects
from coalm_lite.errors import StoreError, UsageError
from coalm_lite.evals.apibank import open_suite
from coalm_lite.evals.apibank.suite import ApiBank
from coalm_lite.evals.items import Answer, Ask, Item, Outcome, Share
from coalm_lite.types import Message, ToolCall

SHARED = Path(__file__).parents[4] / "shared" / "data" / "apibank"
LEASE = {
    "name": "LeaseBoat",
    "description": "Leases a boat.",
    "parameters": {
        "harbour": {"type": "str", "description": "Where."},
        "seats": {"type": "int", "description": "How many."},
        "names": {"type": "list(str)", "description": "Who."},
    },
    "return": {"status": {"type": "str", "description": "The status."}},
}
OPENING = {"role": "user", "content": "A boat at Kelp Bay for two, please."}
FIRST = {
    "query": [OPENING, {"role": "agent", "content": "Gladly.\nGenerate API Request:"}],
    "tools": [LEASE],
    "answers": [
        {"name": "LeaseBoat", "arguments": {"harbour": "Kelp Bay", "seats": "2", "names": "['Ada', 'Bo']", "note": ""}}
    ],
}
SECOND = {
    "query": [
        OPENING,
        {"role": "agent", "content": "Gladly."},
        {"role": "assistant", "content": '```[{"name": "LeaseBoat", "arguments": {"harbour": "Kelp Bay"}}]```'},
        {"role": "tool", "content": "success"},
        {"role": "user", "content": "And one at Reed Point."},
    ],
    "tools": [LEASE],
    "answers": [{"name": "LeaseBoat", "arguments": {"harbour": "Reed Point"}}],
}
RIGHT: dict[str, Any] = {"harbour": "Kelp Bay", "seats": "2", "names": "['Ada', 'Bo']"}


@pytest.fixture
def suite(tmp_path: Path) -> ApiBank:
    (tmp_path / "hammer_apibank_l1.json").write_text(json.dumps([SECOND, FIRST]))
    other = {**FIRST, "query": [{"role": "user", "content": "A boat?"}]}
    (tmp_path / "hammer_apibank_l2.json").write_text(json.dumps([other]))
    return open_suite(tmp_path)


def played(suite: ApiBank, item: Item, answer: Answer, dialect: str = "hammer") -> tuple[Ask, Outcome]:
    play = suite.play(item, dialect)
    ask = next(play)
    with pytest.raises(StopIteration) as stop:
        play.send(answer)
    return ask, stop.value.value


def scores(suite: ApiBank, arguments: dict[str, Any], name: str = "LeaseBoat", dialect: str = "hammer") -> Any:
    text = dialects.get(dialect).render_reply(Message("assistant", calls=(ToolCall(name, arguments),)))
    return played(suite, item(suite, "l1-001"), Answer(text), dialect)[1].units[0].scores


def item(suite: ApiBank, name: str) -> Item:
    return next(item for item in suite.items if item.id == name)


def test_the_conversation_is_asked_with_its_calls_and_results(suite: ApiBank) -> None:
    ask, _ = played(suite, item(suite, "l1-000"), Answer("[]"))
    assert [message.role for message in ask.messages] == ["user", "assistant", "assistant", "tool", "user"]
    assert ask.messages[2].calls == (ToolCall("LeaseBoat", {"harbour": "Kelp Bay"}),)
    assert ask.tools[0].parameters["required"] == []
    assert "Observation: success" in "".join(part.text for part in dialects.get("hammer").render(ask.messages, ()))


def test_requests_of_one_dialogue_are_one_cluster_and_neighbours(suite: ApiBank) -> None:
    first, second = item(suite, "l1-000"), item(suite, "l1-001")
    assert first.cluster == second.cluster != item(suite, "l2-000").cluster
    assert abs(suite.items.index(first) - suite.items.index(second)) == 1
    assert {entry.stratum for entry in suite.items} == {"l1", "l2"}


@pytest.mark.parametrize("dialect", ["hammer", "cra", "bfcl"])
def test_a_right_call_is_right_in_each_dialect_with_types_or_text_in_any_order(suite: ApiBank, dialect: str) -> None:
    for arguments in (RIGHT, {"names": ["Ada", "Bo"], "seats": 2, "harbour": "Kelp Bay", "note": ""}):
        found = scores(suite, arguments, dialect=dialect)
        assert {name: share.part / share.whole for name, share in found.items()} == dict.fromkeys(found, 1.0)
        assert found["arguments"] == Share(6, 6)


def test_a_wrong_value_costs_the_call_and_its_argument(suite: ApiBank) -> None:
    found = scores(suite, {**RIGHT, "seats": "3"})
    assert (found["call"], found["api_name"], found["arguments"]) == (Share(0), Share(2, 2), Share(4, 6))
    assert 0.5 < found["rouge_l"].part < 1 and found["rouge_l"] == found["rouge_l_l1"]


def test_a_surplus_argument_and_a_missing_one_cost_the_call(suite: ApiBank) -> None:
    assert scores(suite, {**RIGHT, "speed": "slow"})["arguments"] == Share(6, 7)
    missing = scores(suite, {"harbour": "Kelp Bay"})
    assert (missing["call"], missing["arguments"]) == (Share(0), Share(2, 4))


def test_another_name_costs_all_its_arguments(suite: ApiBank) -> None:
    found = scores(suite, RIGHT, name="LeaseCar")
    assert (found["call"], found["api_name"], found["arguments"]) == (Share(0), Share(0, 2), Share(0, 6))


def test_a_second_call_costs_the_exact_call_and_half_the_precision(suite: ApiBank) -> None:
    calls = [{"name": "LeaseBoat", "arguments": RIGHT}] * 2
    found = played(suite, item(suite, "l1-001"), Answer(json.dumps(calls)))[1].units[0].scores
    assert (found["call"], found["api_name"], found["arguments"]) == (Share(0), Share(2, 3), Share(6, 9))


@pytest.mark.parametrize("text", ["[]", "", "I cannot.", '[{"name": "LeaseBoat", "argum', "[[[[", '[{"n": 1}]'])
def test_what_is_no_call_is_scored_as_its_text_and_never_raises(suite: ApiBank, text: str) -> None:
    _, outcome = played(suite, item(suite, "l1-001"), Answer(text, cut=True))
    found = outcome.units[0].scores
    assert (found["call"], found["api_name"], found["arguments"]) == (Share(0), Share(0, 1), Share(0, 3))
    assert "gold is" in outcome.note
    assert (found["rouge_l"].part > 0) == ("LeaseBoat" in text)


def test_why_nothing_was_written_is_the_note(suite: ApiBank) -> None:
    _, outcome = played(suite, item(suite, "l1-001"), Answer("", error="no room for the prompt"))
    assert outcome.note == "no room for the prompt" and outcome.units[0].scores["call"] == Share(0)


def test_one_level_can_be_opened_alone(suite: ApiBank, tmp_path: Path) -> None:
    level = open_suite(tmp_path, "l1")
    assert (level.name, len(level.items)) == ("apibank:l1", 2)
    assert [metric.name for metric in level.metrics if metric.headline] == ["rouge_l", "call"]
    declared = {metric.name for metric in level.metrics}
    assert "rouge_l_l1" not in declared
    assert set(played(level, item(level, "l1-000"), Answer("[]"))[1].units[0].scores) == declared
    with pytest.raises(UsageError, match="'l3'"):
        open_suite(tmp_path, "l3")


@pytest.mark.parametrize(
    "damage",
    [
        {"answers": []},
        {"query": "text"},
        {"query": []},
        {"query": [{"role": "judge", "content": ""}]},
        {"tools": [{"name": "f", "parameters": {"a": {"type": "Widget"}}}]},
    ],
)
def test_a_file_of_another_form_is_named_with_the_request(tmp_path: Path, damage: dict[str, Any]) -> None:
    (tmp_path / "hammer_apibank_l1.json").write_text(json.dumps([FIRST, {**FIRST, **damage}]))
    with pytest.raises(StoreError, match="request 1 is not of API-Bank's one-call form"):
        open_suite(tmp_path, "l1")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public data is not here")
def test_gold_calls_of_the_published_files_score_full_marks() -> None:
    suite = open_suite(SHARED)
    assert [sum(entry.stratum == level for entry in suite.items) for level in ("l1", "l2")] == [399, 127]
    for entry in suite.items:
        _, outcome = played(suite, entry, Answer(entry.content.gold_text))
        assert all(share.part == share.whole for share in outcome.units[0].scores.values()), entry.id
        assert not outcome.note
