"""Runs on the embedded model: order, resuming, differential runs, and what a backend's errors become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from coalm_lite import dialects
from coalm_lite.decoding.generate import generate
from coalm_lite.errors import EvalError
from coalm_lite.evals.items import Item
from coalm_lite.evals.run import Run
from coalm_lite.evals.running.header import Part
from coalm_lite.evals.running.runner import groups
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Sampling
from tests.evals.running.asking import TOOLS, Asking

RunInto = Callable[..., tuple[Run, object]]


def part(count: int, **given: object) -> Part:
    suite = Asking(count, **given)  # type: ignore[arg-type]
    return Part(suite, "hammer", suite.items)


def test_results_stand_in_the_items_order_whatever_order_they_finish_in(run_into: RunInto, tmp_path: Path) -> None:
    run, _ = run_into(part(11), tmp_path / "run.jsonl", parallel=4)
    assert [item.id for item in run.items] == [f"{number:03}" for number in range(11)]
    assert [len(item.steps) for item in run.items] == [2, 1, 1] * 3 + [2, 1]


def test_an_answer_is_what_the_model_writes_alone(run_into: RunInto, nano: LlamaEngine, tmp_path: Path) -> None:
    run, _ = run_into(part(3), tmp_path / "run.jsonl", parallel=1, group_items=1)
    prompt = nano.tokenize(
        dialects.get("hammer").render([Message("user", "A train to Norwich 1, please.")], TOOLS, short=True)
    )
    grammar = dialects.get("hammer").compiled(TOOLS)
    *_, alone = generate(nano, prompt, Sampling(max_tokens=24), grammar, Cancel())
    (step,) = run.items[1].steps
    assert (step.text, step.prompt_tokens, step.tokens) == (alone.text, len(prompt), alone.tokens)  # type: ignore[union-attr]
    assert step.ends[-1] == len(step.text.encode())
    assert step.asked == "A train to Norwich 1, please."


def test_a_run_stopped_anywhere_ends_equal_to_an_undisturbed_one(run_into: RunInto, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    run_into(part(12), whole, parallel=4)
    lines = whole.read_bytes().splitlines(keepends=True)
    for count in (1, 4, 6, 12):
        cut.write_bytes(b"".join(lines[:count]) + lines[count][:20])
        run_into(part(12), cut, parallel=4)
        assert cut.read_bytes() == whole.read_bytes()


def test_a_finished_run_asks_nothing_more(run_into: RunInto, tmp_path: Path) -> None:
    run_into(part(3), tmp_path / "run.jsonl")
    _, speed = run_into(part(3), tmp_path / "run.jsonl")
    assert speed.items == 0  # type: ignore[attr-defined]


def test_other_items_in_the_file_are_not_taken_for_these(run_into: RunInto, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    run_into(part(3), path)
    path.write_bytes(path.read_bytes().replace(b'"id":"001"', b'"id":"009"'))
    with pytest.raises(EvalError, match="line 3: the item '009' stands where '001' belongs"):
        run_into(part(3), path)


def test_the_same_model_agrees_with_its_base_in_everything(run_into: RunInto, tmp_path: Path) -> None:
    base, again = tmp_path / "base.jsonl", tmp_path / "again.jsonl"
    before, _ = run_into(part(6), base, parallel=1)
    after, speed = run_into(part(6), again, base=base, parallel=1)
    assert [item.units for item in after.items] == [item.units for item in before.items]
    for old, new in zip(steps(before), steps(after), strict=True):
        assert new.agreement is not None
        assert new.agreement.agreed_tokens == new.agreement.base_tokens == len(old.tokens)
        assert new.agreement.kl_places == len(old.choices)
        assert new.agreement.kl_sum < 1e-3 * len(old.choices)
    assert speed.costs.counts["drafts held"] > 0  # type: ignore[attr-defined]


def test_another_answer_agrees_up_to_the_first_difference(run_into: RunInto, tmp_path: Path) -> None:
    base, other = tmp_path / "base.jsonl", tmp_path / "other.jsonl"
    before, _ = run_into(part(2), base, parallel=1)
    words = max(steps(before), key=lambda step: len(step.tokens))
    place = steps(before).index(words)
    token = words.tokens[-4]
    base.write_bytes(base.read_bytes().replace(b"%d," % token, b"%d," % (token + 1)))
    after, _ = run_into(part(2), other, base=base, parallel=1)
    assert [item.units for item in after.items] == [item.units for item in before.items]
    agreement = steps(after)[place].agreement
    assert agreement is not None
    assert agreement.agreed_tokens < agreement.base_tokens


def steps(run: Run) -> list:  # type: ignore[type-arg]
    return [step for item in run.items for step in item.steps]


def test_a_prompt_without_room_is_an_answer_with_an_error(run_into: RunInto, tmp_path: Path) -> None:
    asking = part(2)
    long = Item("long", "turns 1", "long", type(asking.items[0].content)("Ely " * 2000, 1))
    run, _ = run_into(Part(asking.suite, "hammer", (asking.items[1], long)), tmp_path / "run.jsonl")
    good, bad = run.items
    assert good.steps[0].end != "error"
    assert bad.steps[0].end == "error"
    assert "tokens, and the context 1024" in bad.steps[0].error
    assert bad.note == bad.steps[0].error


def test_without_a_grammar_the_answer_is_free(run_into: RunInto, tmp_path: Path) -> None:
    free, _ = run_into(part(3), tmp_path / "free.jsonl", grammar=False)
    held, _ = run_into(part(3), tmp_path / "held.jsonl")
    assert (free.header.grammar, held.header.grammar) == (False, True)
    assert all(step.text.startswith("[") for step in steps(held))
    assert len(steps(free)[0].choices) >= len(steps(free)[0].tokens)  # nothing is forced


def test_groups_keep_clusters_whole() -> None:
    asking = part(11)
    found: Sequence[Sequence[tuple[Part, Item]]] = [*groups([asking, asking], 3)]
    assert [len(group) for group in found] == [4, 4, 3, 4, 4, 3]
    assert [item.id for group in found[:3] for _, item in group] == [item.id for item in asking.items]
