"""What BFCL's check decides, learnt from its decisions and pinned on invented functions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.evals.bfcl.checker import wrong_calls
from coalm_lite.types import JsonObject, JsonValue, ToolCall

OFFICIAL = os.environ.get("COALM_LITE_BFCL_EVAL", "")
DATA = os.environ.get("COALM_LITE_BENCHMARKS", "")
ROOT = Path(__file__).parents[3]


def feed(**types: JsonValue) -> JsonObject:
    """A function `feed` with parameters of these types, the first required."""
    properties: JsonObject = {
        name: declared if isinstance(declared, dict) else {"type": declared} for name, declared in types.items()
    }
    return {"name": "feed", "parameters": {"type": "dict", "properties": properties, "required": [next(iter(types))]}}


def problem(value: JsonValue, allowed: list[JsonValue], kind: str, item: str = "", language: Any = "python") -> str:
    """What is wrong with one value of a parameter of this type."""
    declared: JsonObject = {"type": kind, "items": {"type": item}} if item else {"type": kind}
    function, answer = feed(heron=declared), {"feed": {"heron": allowed}}
    return wrong_calls([ToolCall("feed", {"heron": value})], [function], [answer], "one", language)


RIGHT: list[tuple[JsonValue, list[JsonValue], str, str]] = [
    ("trout", ["trout"], "string", ""),
    ("Brook-Trout, small.", ["brook trout small"], "string", ""),  # case, blanks and , . / - _ * ^ do not count
    ("it's", ['it"s'], "string", ""),
    ("", ["", "trout"], "string", ""),
    (3, [3], "integer", ""),
    (3, [3.0], "float", ""),  # a whole number stands for a float
    (3.0, [3], "float", ""),
    (None, [None], "integer", ""),  # the type of what is allowed counts beside the declared one
    (True, [True], "float", ""),
    (5, [5], "any", ""),
    (["a", "B"], [["A", "b"]], "array", "string"),
    ([1.5, 2.0], [[1.5, 2]], "tuple", "float"),
    ([1], [[1]], "array", "float"),  # the first allowed item's type counts beside the declared one
    ([], [["a"], ""], "array", "string"),  # "" among lists stands for an empty one
    ([["a"]], [[["a"]]], "array", "array"),
    ({"fish": "Trout"}, [{"fish": ["trout", "eel"]}], "dict", ""),
    ({}, [{"fish": ["trout", ""]}], "dict", ""),
    ({"fish": ["Trout"]}, [{"fish": [["Trout"]]}], "dict", ""),
    ([{"fish": "eel"}, {}], [[{"fish": ["Eel"]}, {"fish": [""]}]], "array", "dict"),
    ("pond", ["pond"], "array", "integer"),  # the name of a variable
]
WRONG: list[tuple[JsonValue, list[JsonValue], str, str]] = [
    ("eel", ["trout"], "string", ""),
    ("3", [3], "integer", ""),
    (3.0, [3], "integer", ""),
    (True, [1], "integer", ""),
    (3, ["3"], "string", ""),
    ("Pond", ["pond"], "array", "integer"),  # a variable's name is compared as it is
    ("None", [None], "string", ""),
    ([1], [[1.0]], "array", "float"),  # inside a list a whole number stands for no float
    (["b", "a"], [["a", "b"]], "array", "string"),
    ([["a"]], [[["A"]]], "array", "array"),
    ({"fish": "trout", "more": 1}, [{"fish": ["trout"]}], "dict", ""),
    ({}, [{"fish": ["trout"]}], "dict", ""),
    ({"fish": ["trout"]}, [{"fish": [["Trout"]]}], "dict", ""),  # inside an object's list text is compared as it is
    ([{"fish": "eel"}], [[{"fish": ["eel"]}, {"fish": ["eel"]}]], "array", "dict"),
    ("a", [5], "furlong", ""),
]


@pytest.mark.parametrize(("value", "allowed", "kind", "item"), RIGHT)
def test_these_values_are_right(value: JsonValue, allowed: list[JsonValue], kind: str, item: str) -> None:
    assert not problem(value, allowed, kind, item)


@pytest.mark.parametrize(("value", "allowed", "kind", "item"), WRONG)
def test_these_values_are_wrong(value: JsonValue, allowed: list[JsonValue], kind: str, item: str) -> None:
    assert problem(value, allowed, kind, item)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "the required 'heron' is missing"),
        ({"heron": 1, "swan": 2, "grebe": 3}, "'grebe' is not expected"),
        ({"heron": 1}, "'swan' may not be left out"),
        ({"heron": 2, "swan": 2}, "'heron': 2 is none of [1]"),
        ({"heron": "1", "swan": 2}, "'heron': '1' is no int"),
    ],
)
def test_what_is_wrong_names_function_parameter_and_value(arguments: JsonObject, words: str) -> None:
    answers = [{"feed": {"heron": [1], "swan": [2], "coot": ["", 3]}}]
    found = wrong_calls([ToolCall("feed", arguments)], [feed(heron="integer", swan="integer")], answers, "one")
    assert found == f"feed: {words}"


def test_a_parameter_may_be_left_out_where_the_answer_says_so_and_the_function_does_not_require_it() -> None:
    answers = [{"feed": {"heron": [1], "coot": ["", 3]}}]
    functions = [feed(heron="integer", coot="integer")]
    for arguments in ({"heron": 1}, {"heron": 1, "coot": 3}):
        assert not wrong_calls([ToolCall("feed", dict(arguments))], functions, answers, "one")


def test_as_many_calls_are_due_as_answers_and_one_of_a_simple_item() -> None:
    call, answers = ToolCall("feed", {"heron": 1}), [{"feed": {"heron": [1]}}]
    assert wrong_calls([], [feed(heron="integer")], answers, "one") == "0 calls where 1 is due"
    assert wrong_calls([call, call], [feed(heron="integer")], answers, "any_order") == "2 calls where 1 is due"


def test_calls_in_parallel_are_matched_in_any_order_and_each_once() -> None:
    answers = [{"feed": {"heron": [1]}}, {"feed": {"heron": [2]}}]
    one, two = ToolCall("feed", {"heron": 1}), ToolCall("feed", {"heron": 2})
    assert not wrong_calls([two, one], [feed(heron="integer")], answers, "any_order")
    assert wrong_calls([one, one], [feed(heron="integer")], answers, "any_order")


def test_an_answer_takes_the_first_call_that_fits_even_where_another_pairing_would_do() -> None:
    answers = [{"feed": {"heron": [1, 2]}}, {"feed": {"heron": [1]}}]
    one, two = ToolCall("feed", {"heron": 1}), ToolCall("feed", {"heron": 2})
    assert wrong_calls([one, two], [feed(heron="integer")], answers, "any_order")
    assert not wrong_calls([two, one], [feed(heron="integer")], answers, "any_order")


def test_among_several_functions_the_answers_one_is_due() -> None:
    row: JsonObject = {**feed(boat="string"), "name": "row"}
    functions, answers = [row, feed(heron="integer")], [{"feed": {"heron": [1]}}]
    assert not wrong_calls([ToolCall("feed", {"heron": 1})], functions, answers, "first")
    assert "'row' is called where 'feed' is due" in wrong_calls(
        [ToolCall("row", {"boat": "x"})], functions, answers, "first"
    )


def test_an_answer_for_a_function_that_is_not_there_is_never_met() -> None:
    call, answers = ToolCall("row", {}), [{"row": {}}]
    assert wrong_calls([call], [feed(heron="integer")], answers, "first")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
TYPES = (
    "string",
    "integer",
    "float",
    "boolean",
    "array",
    "tuple",
    "dict",
    "any",
    "Array",
    "ArrayList",
    "HashMap",
    "long",
)


@given(JSON, JSON, st.sampled_from(TYPES), st.sampled_from(TYPES), st.sampled_from(["python", "java", "javascript"]))
def test_nothing_that_a_model_writes_raises(
    value: JsonValue, allowed: JsonValue, kind: str, item: str, language: str
) -> None:
    assert isinstance(problem(value, [allowed], kind, item, language), str)


@given(st.text(alphabet="aB c,._'-*^/", max_size=12))
def test_a_text_is_right_however_it_is_punctuated(text: str) -> None:
    bare = "".join(mark for mark in text if mark not in " ,./-_*^").upper()
    assert not problem(bare, [text], "string")
    assert problem(bare + "x", [text], "string")


@pytest.mark.skipif(not (OFFICIAL and DATA), reason="COALM_LITE_BFCL_EVAL and COALM_LITE_BENCHMARKS name no folders")
def test_our_check_decides_as_bfcls_own() -> None:
    script = ROOT / "benchmarks" / "bfcl_checker.py"
    options = ["--data-dir", DATA, "--bfcl-eval", OFFICIAL, "--mutations", "5000", "--seed", "3"]
    done = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
