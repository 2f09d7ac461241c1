"""BFCL's objects in their own process: what they do, what they may not do, and what happens when they break."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError
from coalm_lite.evals.bfcl.categories import CATEGORIES
from coalm_lite.evals.bfcl.executors import Executors, ExecutorsError
from coalm_lite.evals.bfcl.questions import read_dialogues
from tests.evals.bfcl.made_bfcl import dialogue, write_package

OFFICIAL = os.environ.get("COALM_LITE_BFCL_EVAL", "")
BASE = dialogue("multi_turn_base")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("executors"))


@pytest.fixture
def executors(package: Path) -> Iterator[Executors]:
    made = Executors(package, limit_s=30)
    yield made
    made.close()


def test_objects_keep_what_calls_did(executors: Executors) -> None:
    lamp = executors.objects(BASE)
    assert lamp.run(["read_level()", "set_level(level=4)", "read_level()"]) == ["1", '{"level": 4}', "4"]
    assert lamp.run(["read_level()"]) == ["4"]


def test_each_item_has_objects_of_its_own(executors: Executors) -> None:
    one, two = executors.objects(BASE), executors.objects(BASE)
    one.run(["set_level(level=4)"])
    assert two.run(["read_level()"]) == ["1"]


def test_an_item_of_the_long_context_has_the_longer_objects(executors: Executors) -> None:
    assert executors.objects(dialogue("multi_turn_long_context")).run(["read_level()"]) == ["101"]


def test_a_call_that_fails_tells_the_model_why(executors: Executors) -> None:
    lamp = executors.objects(BASE)
    assert lamp.run(["set_level(level=99)"]) == ["Error during execution: too bright"]


def test_the_check_runs_all_turns_anew_and_says_what_is_wrong(executors: Executors) -> None:
    lamp = executors.objects(BASE)
    gold = [["set_level(level=3)"], ["set_level(level=5)"]]
    assert lamp.problem([[["set_level(level=9)"], ["set_level(level=3)"]]], gold[:1]) == ""
    assert lamp.problem([[["set_level(level=3)"]], []], gold) == "state: 3 in turn 1"
    assert lamp.problem([[["set_level(level=3)"]], [["set_level(level=5)"]]], gold) == ""


def test_a_process_that_ends_is_begun_anew_and_other_items_go_on_as_they_were(executors: Executors) -> None:
    one, two = executors.objects(BASE), executors.objects(BASE)
    one.run(["set_level(level=4)"])
    with pytest.raises(ExecutorsError, match="ended with"):
        two.run(["burst()"])
    assert one.run(["read_level()"]) == ["4"]
    assert two.run(["read_level()"]) == ["1"]


def test_what_takes_too_long_is_stopped(package: Path) -> None:
    executors = Executors(package, limit_s=1.5)
    lamp, started = executors.objects(BASE), time.monotonic()
    with pytest.raises(ExecutorsError, match=r"no answer within 1\.5 s"):
        lamp.run(["wait(seconds=60)"])
    assert time.monotonic() - started < 20
    executors.close()


@pytest.mark.parametrize(
    "call",
    [
        "lamp.set_level.__globals__['os'].system('true')",
        "lamp.set_level.__globals__['os'].remove('nothing')",
        "__import__('socket').socket()",
        "__import__('subprocess').Popen(['true'])",
        "wait(seconds=open('written', 'w'))",
        "wait(seconds=open('written', mode='a'))",
        "lamp.wait(seconds=__import__('os').open('written', 65))",
    ],
)
def test_no_network_no_process_and_no_written_file(executors: Executors, call: str) -> None:
    (said,) = executors.objects(BASE).run([call])
    assert "is not allowed to what a model wrote" in said


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_memory_is_limited(executors: Executors) -> None:
    (said,) = executors.objects(BASE).run(["wait(seconds=len(bytearray(1 << 31)))"])
    assert said.startswith("Error during execution")


def test_no_secret_of_the_environment_reaches_the_process(
    executors: Executors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (names,) = executors.objects(BASE).run(["surroundings()"])
    assert set(json.loads(names)) <= {"PYTHONHASHSEED", "LC_CTYPE"}


def test_objects_that_cannot_be_made_are_an_error_that_says_why(executors: Executors) -> None:
    with pytest.raises(ExecutorsError, match="BFCL's objects failed: KeyError"):
        executors.objects({**BASE, "initial_config": {}})


def test_a_folder_without_executors_is_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no bfcl_eval/eval_checker") as error:
        Executors(tmp_path)
    assert "coalm-lite data fetch bfcl-executors" in error.value.hint


@pytest.mark.skipif(not OFFICIAL, reason="COALM_LITE_BFCL_EVAL names no unpacked bfcl-eval")
@pytest.mark.parametrize("category", [each for each in CATEGORIES if each.kind == "conversation"], ids=lambda c: c.name)
def test_bfcls_own_gold_passes_on_its_own_objects(category: object) -> None:
    executors = Executors(Path(OFFICIAL))
    for item in read_dialogues(Path(OFFICIAL), category):  # type: ignore[arg-type]
        objects = executors.objects(item.entry)
        assert not objects.problem([[[call] for call in turn] for turn in item.gold], item.gold), item.id
        objects.end()
    executors.close()
