"""The BFCL suite on invented data: what it asks, how it scores, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from coalm_lite import dialects
from coalm_lite.errors import StoreError
from coalm_lite.evals.bfcl.categories import CATEGORIES
from coalm_lite.evals.bfcl.play import MAX_STEPS
from coalm_lite.evals.bfcl.suite import BfclSuite, open_suite
from coalm_lite.evals.items import Answer, Ask, Item, Outcome
from coalm_lite.types import Message
from tests.evals.bfcl.made_bfcl import feed, said, write_data, write_lines, write_package

RIGHT = {"bfcl": "[pond.feed(bird='heron')]", "hammer": '[{"name": "pond.feed", "arguments": {"bird": "heron"}}]'}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("benchmarks")
    write_package(home / "bfcl-executors")
    return write_data(home / "bfcl")


@pytest.fixture(scope="module")
def suite(folder: Path) -> BfclSuite:
    return open_suite(folder)


def item(suite: BfclSuite, stratum: str) -> Item:
    return next(each for each in suite.items if each.stratum == stratum)


def played(
    suite: BfclSuite, stratum: str, answers: Sequence[str | Answer], dialect: str = "bfcl"
) -> tuple[list[Ask], Outcome]:
    """What was asked, and what came of these answers, of which none may be left over."""
    play, left = suite.play(item(suite, stratum), dialect), list(answers)
    asks = [next(play)]
    while True:
        answer = left.pop(0)
        try:
            asks.append(play.send(answer if isinstance(answer, Answer) else Answer(answer)))
        except StopIteration as end:
            assert not left
            return asks, end.value


def passed(outcome: Outcome) -> bool:
    (unit,) = outcome.units
    (score,) = set(unit.scores.values())
    assert bool(outcome.note) == (score.part == 0)
    return score.part == 1


@pytest.mark.parametrize("dialect", ["bfcl", "hammer"])
@pytest.mark.parametrize("stratum", [each.name for each in CATEGORIES if each.kind == "calls"])
def test_the_gold_call_passes_in_every_category_and_dialect(suite: BfclSuite, stratum: str, dialect: str) -> None:
    (ask,), outcome = played(suite, stratum, [RIGHT[dialect]], dialect)
    assert passed(outcome)
    assert ask.dialect == dialect and [tool.name for tool in ask.tools] == ["pond.feed"]
    assert dialects.get(dialect).compiled(ask.tools).accepts(RIGHT[dialect])


def test_a_pass_counts_in_each_figure_of_its_category(suite: BfclSuite) -> None:
    _, outcome = played(suite, "simple_java", [RIGHT["bfcl"]])
    (unit,) = outcome.units
    assert set(unit.scores) == {"overall", "non_live", "non_live_ast", "simple", "simple_java"}
    _, outcome = played(suite, "live_irrelevance", ["No function does that."])
    assert set(outcome.units[0].scores) == {"overall", "live", "no_call", "live_irrelevance"}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("[pond.feed(bird='eel')]", "pond.feed: 'bird': 'eel' is none of ['heron']"),
        ("I cannot feed it.", "0 calls where 1 is due"),
        ("[pond.feed(bird=", "no calls can be read: the value does not end"),
        ("[pond.feed(bird='heron')] and more", "no calls can be read: expected the end"),
    ],
)
def test_a_wrong_answer_says_what_is_wrong(suite: BfclSuite, text: str, note: str) -> None:
    _, outcome = played(suite, "simple_python", [text])
    assert not passed(outcome)
    assert outcome.note.startswith(note)


def test_an_answer_that_was_cut_says_so(suite: BfclSuite) -> None:
    _, outcome = played(suite, "parallel", [Answer("[pond.feed(bird='he", cut=True)])
    assert outcome.note == "no calls can be read: the answer was cut at its longest"


@pytest.mark.parametrize(
    ("text", "irrelevance", "relevance"),
    [
        ("No function does that.", True, False),
        (RIGHT["bfcl"], False, True),
        ("[pond.feed(bird='anything')]", False, True),
        ("[]", True, False),
        ("[pond.feed(", True, False),  # what cannot be read is no call
    ],
)
def test_relevance_is_whether_a_call_was_made(suite: BfclSuite, text: str, irrelevance: bool, relevance: bool) -> None:
    for stratum in ("irrelevance", "live_irrelevance"):
        assert passed(played(suite, stratum, [text])[1]) == irrelevance
    assert passed(played(suite, "live_relevance", [text])[1]) == relevance


@pytest.mark.parametrize("stratum", ["simple_python", "irrelevance", "live_relevance", "multi_turn_base"])
def test_an_item_that_found_no_room_is_wrong(suite: BfclSuite, stratum: str) -> None:
    _, outcome = played(suite, stratum, [Answer("", error="the prompt has 3000 tokens")])
    assert not passed(outcome)
    assert "the prompt has 3000 tokens" in outcome.note


def test_a_java_parameter_is_asked_for_as_source_text_of_its_type(suite: BfclSuite) -> None:
    (ask,), _ = played(suite, "simple_java", [RIGHT["bfcl"]])
    assert ask.tools[0].parameters["properties"] == {
        "bird": {"type": "string", "description": "which (Java String, as source text)"}
    }


def test_an_items_own_system_words_stand_before_the_users(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "bfcl", each=1)
    talk = [{"role": "system", "content": "You keep the pond."}, said("x")]
    write_lines(folder / "BFCL_v3_simple.json", [{"id": "simple_0", "question": [talk], "function": [feed("string")]}])
    (ask,), _ = played(open_suite(folder, "simple"), "simple_python", [RIGHT["bfcl"]])
    assert ask.messages == (Message("user", "You keep the pond.\n\nFeed the heron, please (x)."),)


def test_a_dialogue_runs_calls_until_an_answer_has_none(suite: BfclSuite) -> None:
    answers = ["[read_level()]", "[set_level(level=3)]", "It is 3.", "[set_level(level=5)]", "Done."]
    asks, outcome = played(suite, "multi_turn_base", answers)
    assert passed(outcome)
    assert [message.text for message in asks[2].messages] == ["Make it 3.", "", "1", "", '{"level": 3}']
    assert [message.role for message in asks[-1].messages][-4:] == ["assistant", "user", "assistant", "tool"]


def test_a_dialogue_in_hammers_form_writes_the_same_calls(suite: BfclSuite) -> None:
    calls = [f'[{{"name": "set_level", "arguments": {{"level": {level}}}}}]' for level in (3, 5)]
    assert passed(played(suite, "multi_turn_base", [calls[0], "[]", calls[1], "[]"], "hammer")[1])


def test_a_dialogue_is_left_at_its_first_wrong_turn(suite: BfclSuite) -> None:
    _, outcome = played(suite, "multi_turn_miss_param", ["[set_level(level=4)]", "Done."])
    assert not passed(outcome)
    assert outcome.note == "turn 1: state: 4 in turn 0"


def test_what_cannot_be_read_ends_a_turn(suite: BfclSuite) -> None:
    _, outcome = played(suite, "multi_turn_base", ["[set_level(level=3)]", "[set_level(", "[set_level(level=5)]", ""])
    assert passed(outcome)


def test_held_out_functions_come_with_their_turn(suite: BfclSuite) -> None:
    answers = ["[set_level(level=3)]", "", "[set_level(level=5)]", "", "Thank you."]
    asks, outcome = played(suite, "multi_turn_miss_func", answers)
    assert passed(outcome)
    assert ["read_level" in {tool.name for tool in ask.tools} for ask in asks] == [False] * 4 + [True]
    assert "More functions" in asks[-1].messages[-1].text


def test_more_than_twenty_steps_fail(suite: BfclSuite) -> None:
    asks, outcome = played(suite, "multi_turn_base", ["[read_level()]"] * (MAX_STEPS + 1))
    assert not passed(outcome)
    assert outcome.note == "turn 1: more than 20 steps"
    assert len(asks) == 21


def test_calls_that_break_the_objects_fail_their_item_alone(suite: BfclSuite) -> None:
    _, outcome = played(suite, "multi_turn_base", ["[burst()]"])
    assert "ended with" in outcome.note
    assert passed(played(suite, "multi_turn_base", ["[set_level(level=3)]", "", "[set_level(level=5)]", ""])[1])


def test_items_are_told_apart_and_dialogues_of_one_number_cluster(suite: BfclSuite) -> None:
    assert len({each.id for each in suite.items}) == len(suite.items) == 13 * 3 + 4
    assert Counter(each.cluster for each in suite.items)["multi_turn_0"] == 4


def test_items_with_the_same_functions_are_neighbours_across_categories(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "bfcl", each=4)
    for name in ("simple", "multiple", "live_simple"):
        rows = [json.loads(line) for line in (folder / f"BFCL_v3_{name}.json").read_text("utf-8").splitlines()]
        kinds = ("string", "integer", "string", "integer")
        rows = [{**row, "function": [feed(kind)]} for row, kind in zip(rows, kinds, strict=True)]
        write_lines(folder / f"BFCL_v3_{name}.json", rows)
    blocks = [json.dumps(each.content.functions) for each in open_suite(folder, "non_live").items]
    changes = sum(one != other for one, other in pairwise(blocks))
    assert changes == len(set(blocks)) - 1


def test_without_executors_the_parts_with_dialogues_name_the_command_and_others_open(
    folder: Path, tmp_path: Path
) -> None:
    alone = Path(shutil.copytree(folder, tmp_path / "bfcl"))
    for part in ("", "multi_turn", "multi_turn_base"):
        with pytest.raises(StoreError, match="multi-turn items need BFCL's executors") as error:
            open_suite(alone, part)
        assert "coalm-lite data fetch bfcl-executors" in error.value.hint
    assert open_suite(alone, "live").metrics[0].name == "live"


def test_a_file_of_another_form_is_named_with_its_item(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "bfcl")
    write_lines(folder / "BFCL_v3_parallel.json", [{"id": "parallel_9", "question": [[said("x")]], "function": []}])
    with pytest.raises(StoreError, match=r"BFCL_v3_parallel\.json: 'parallel_9' is no item of this category"):
        open_suite(folder, "parallel")
