"""The embedded model in both suites: states as nano/evaluate.py scores them, and a conversation that is judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite import dialects
from coalm_lite.decoding.generate import Generated, generate
from coalm_lite.evals.items import Answer, Ask, Outcome, Play, Share
from coalm_lite.evals.multiwoz.suite import open_suite
from coalm_lite.grammar import Grammar
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Sampling
from nano import evaluate
from tests.evals.multiwoz.small_town import GOALS, write_goals, write_town
from tests.evals.multiwoz.test_tracking import dialogue, folder_of


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with LlamaEngine.load(evaluate.MODEL) as opened:
        yield opened


def answered(engine: Engine, ask: Ask, grammar: Grammar) -> Answer:
    dialect = dialects.get(ask.dialect)
    tokens = engine.tokenize(dialect.render(ask.messages, ask.tools, True))
    sampling = Sampling(max_tokens=ask.max_tokens)
    *_, last = generate(engine, tokens, sampling, grammar, Cancel())
    assert isinstance(last, Generated)
    return Answer(last.text, last.reason == "length")


def played(engine: Engine, play: Play) -> Outcome:
    ask = next(play)
    grammar = dialects.get(ask.dialect).compiled(ask.tools)
    while True:
        try:
            ask = play.send(answered(engine, ask, grammar))
        except StopIteration as end:
            assert isinstance(end.value, Outcome)
            return end.value


def share(outcomes: list[Outcome], metric: str) -> float:
    shares: list[Share] = [unit.scores[metric] for outcome in outcomes for unit in outcome.units]
    return sum(each.part for each in shares) / sum(each.whole for each in shares)


def test_states_are_scored_as_the_models_own_evaluation_scores_them(tmp_path: Path, engine: Engine) -> None:
    second = {
        "dialogue_id": "B.json",
        "goal": {"train": {"info": {"day": "friday"}}},
        "turns": [
            {"system": "", "user": "I need a train to Ely on Friday.", "state": {"train-day": "friday"}},
            {"system": "From where?", "user": "Cambridge, after 9:15.", "state": {"train-departure": "cambridge"}},
        ],
    }
    suite = open_suite(folder_of(tmp_path, dialogue(), second))
    outcomes = [played(engine, suite.play(item, "dst")) for item in suite.items]
    speaker = evaluate.Speaker(engine, constrained=True)
    reference = evaluate.track_states(speaker, evaluate.read_dialogues(tmp_path / "test_a.jsonl.gz", None))
    assert reference.turns == 5
    assert share(outcomes, "joint_goal_accuracy") == reference.joint_goal_accuracy
    assert share(outcomes, "slot_f1") == pytest.approx(reference.slot_f1)
    assert 0 < reference.slot_f1 < 1, "neither all right nor all wrong, or the comparison says little"


def test_it_talks_to_the_user_and_uses_the_tools(tmp_path: Path, engine: Engine) -> None:
    suite = open_suite(write_goals(write_town(tmp_path), GOALS), "task")
    first, again = (played(engine, suite.play(suite.items[0], "cra")) for _ in range(2))
    assert first == again
    assert first.units[0].scores["inform"] == Share(1), first.note
