"""The box of tools: calls checked and run, failures as observations; and files of tools."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coalm_lite.errors import SchemaError, ToolError
from coalm_lite.tools import Tool, Toolbox, load_tools, tool_from_function, tool_from_schema
from coalm_lite.types import JsonObject, JsonValue, Observation, ToolCall

HOTELS = {"Harbour House": 3, "Mill Inn": 2}


def book_hotel(name: str, people: int, nights: int = 1) -> dict[str, JsonValue]:
    """Book a hotel."""
    if name not in HOTELS:
        raise ValueError(f"no hotel is called {name!r}")
    return {"hotel": name, "people": people, "nights": nights}


async def find_taxi(departure: str) -> str:
    """Find a taxi."""
    await asyncio.sleep(0)
    return f"a green car waits at {departure}"


def error_of(observation: Observation) -> str:
    assert not observation.ok
    observation.text.encode("utf-8")
    content = json.loads(observation.text)
    assert list(content) == ["error"]
    assert isinstance(content["error"], str)
    return content["error"]


def test_specs_come_in_the_order_of_the_tools() -> None:
    box = Toolbox([find_taxi, tool_from_function(book_hotel, name="book")])
    assert [spec.name for spec in box.specs] == ["find_taxi", "book"]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolError, match="two tools are called 'book_hotel'"):
        Toolbox([book_hotel, book_hotel])


def test_a_call_s_result_is_the_observation() -> None:
    call = ToolCall("book_hotel", {"name": "Mill Inn", "people": "2"})
    expected = '{"hotel": "Mill Inn", "people": 2, "nights": 1}'
    assert Toolbox([book_hotel]).run(call) == Observation(call, expected, ok=True)


def test_sync_and_async_tools_answer_alike() -> None:
    box = Toolbox([book_hotel, find_taxi])
    assert box.run(ToolCall("find_taxi", {"departure": "the mill"})).text == '"a green car waits at the mill"'


def test_a_tool_that_raises_becomes_an_observation() -> None:
    observation = Toolbox([book_hotel]).run(ToolCall("book_hotel", {"name": "X", "people": 1}))
    assert error_of(observation) == "ValueError: no hotel is called 'X'"
    assert observation.text == json.dumps({"error": "ValueError: no hotel is called 'X'"})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (ToolCall("book_hotle"), "unknown tool 'book_hotle'; did you mean book_hotel?"),
        (ToolCall("fly"), "unknown tool 'fly'; known: book_hotel, find_taxi"),
        (ToolCall("book_hotel", {"name": "Mill Inn"}), "book_hotel: missing argument 'people'"),
        (ToolCall("book_hotel", {"name": 1, "people": 1}), "argument name: Input should be a valid string, got 1"),
        (ToolCall("find_taxi", {"departure": "a", "color": "b"}), "unknown argument 'color'; known: departure"),
    ],
)
def test_a_wrong_call_is_refused_in_words_that_the_model_reads(call: ToolCall, words: str) -> None:
    box = Toolbox([book_hotel, find_taxi])
    with pytest.raises(ToolError) as caught:
        box.validate(call)
    assert words in caught.value.message
    assert error_of(box.run(call)) == caught.value.message


def test_a_call_to_an_empty_box_is_refused() -> None:
    assert error_of(Toolbox([]).run(ToolCall("fly"))) == "unknown tool 'fly'; known: none"


def test_a_timeout_becomes_an_observation() -> None:
    release = threading.Event()

    def wait() -> None:
        release.wait()

    try:
        observation = Toolbox([tool_from_function(wait, timeout_s=0.05)]).run(ToolCall("wait"))
    finally:
        release.set()
    assert error_of(observation) == "TimeoutError: wait: no result within 0.05 s"


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_timeout_that_is_no_time_is_refused(timeout_s: float) -> None:
    with pytest.raises(ToolError, match="timeout_s"):
        tool_from_function(book_hotel, timeout_s=timeout_s)


def test_a_result_is_refused_whole_when_it_is_too_long() -> None:
    def read(length: int) -> str:
        return "x" * length

    box = Toolbox([read], max_result_characters=100)
    assert box.run(ToolCall("read", {"length": 98})).ok
    problem = error_of(box.run(ToolCall("read", {"length": 99})))
    assert problem == "the result of read has 101 characters, more than the 100 allowed; ask for less"


def test_a_result_that_is_no_json_becomes_an_observation() -> None:
    def read() -> object:
        return object()

    assert "Unable to serialize unknown type" in error_of(Toolbox([read]).run(ToolCall("read")))


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "CancelledError"),
        (MuteError(), "MuteError: its message cannot be read (RuntimeError)"),
        (StopIteration("end"), "StopIteration: end"),
        (GeneratorExit(), "GeneratorExit"),
        (ToolError("of another box"), "ToolError: of another box"),
        (ValueError("half a pair: \ud83d"), "ValueError: half a pair: \ud83d"),
        (ValueError("x" * 9000), "ValueError: " + "x" * 7988 + "… (9012 characters)"),
    ],
)
def test_whatever_a_tool_raises_the_model_reads(error: BaseException, words: str) -> None:
    def fail() -> None:
        raise error

    assert error_of(Toolbox([fail]).run(ToolCall("fail"))) == words


def test_a_keyboard_interrupt_is_not_swallowed() -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Toolbox([fail]).run(ToolCall("fail"))


def test_a_schema_tool_gets_its_arguments_by_name() -> None:
    schema: JsonObject = {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a"],
        },
    }
    tool = tool_from_schema({"type": "function", "function": schema}, lambda a, b=5: a + b)
    box = Toolbox([tool])
    assert box.run(ToolCall("add", {"a": 1})).text == "6"
    assert "'1' is not of type 'integer'" in error_of(box.run(ToolCall("add", {"a": "1"})))
    assert error_of(box.run(ToolCall("add", {}))) == "add: missing argument 'a'"


@pytest.mark.parametrize("names", [["a", "c"], ["c"], []])
def test_a_schema_and_a_function_that_do_not_fit_are_refused(names: list[str]) -> None:
    def add(a: int, b: int = 0) -> int:
        return a + b

    parameters: JsonObject = {"type": "object", "properties": {name: {} for name in names}, "required": [*names]}
    with pytest.raises(ToolError, match="its function cannot be called with"):
        tool_from_schema({"name": "add", "parameters": parameters}, add)


def test_a_schema_that_contains_itself_without_end_ends_in_an_observation() -> None:
    parameters: JsonObject = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}
    box = Toolbox([tool_from_schema({"name": "loop", "parameters": parameters}, lambda a=0: a)])
    assert "RecursionError" in error_of(box.run(ToolCall("loop", {"a": 1})))


def test_a_wrong_schema_is_refused_at_registration() -> None:
    with pytest.raises(SchemaError):
        tool_from_schema({"name": "f", "parameters": {"properties": {"a": {"type": "str"}}}}, lambda a: a)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)  # a thread a call: its time is the machine's
@given(
    st.sampled_from(["echo", "echo_schema", "Echo", ""]) | st.text(st.characters()),
    st.dictionaries(st.sampled_from(["value", "count"]) | st.text(st.characters()), JSON_VALUES, max_size=3),
)
@example("echo", {"value": "\ud800"})
@example("echo", {"value": {"\ud800": 1}})
@example("echo", {"\ud800": 1})
@example("echo_schema", {"\ud800": "\ud800"})
@example("\ud800", {})
def test_no_arguments_make_run_raise(name: str, arguments: JsonObject) -> None:
    def echo(value: object, count: int = 1) -> object:
        return [value] * min(count, 3)

    schema: JsonObject = {"name": "echo_schema", "parameters": {"type": "object", "additionalProperties": True}}
    box = Toolbox([echo, tool_from_schema(schema, lambda **values: values)])
    observation = box.run(ToolCall(name, arguments))
    observation.text.encode("utf-8")
    content = json.loads(observation.text)
    assert observation.ok or list(content) == ["error"]


def write(folder: Path, source: str) -> Path:
    path = folder / "town_tools.py"
    path.write_text(source, encoding="utf-8")
    return path


def private_modules() -> set[str]:
    return {name for name in sys.modules if name.startswith("_coalm_lite_tools_")}


GOOD_FILE = '''
from __future__ import annotations
from dataclasses import dataclass
from functools import cache
from json import dumps

@dataclass
class Place:
    name: str

def second(place: Place) -> str:
    """Name a place."""
    return dumps(place.name)

@cache
def first(number: int) -> int:
    """Double a number."""
    return number * 2

also_second = second
short = lambda: 1

def _hidden() -> None:
    """Not a tool."""
'''


def test_a_file_s_own_public_functions_are_its_tools_in_their_order(tmp_path: Path) -> None:
    box = Toolbox(load_tools(write(tmp_path, GOOD_FILE)))
    assert [spec.name for spec in box.specs] == ["second", "first"]
    assert box.run(ToolCall("first", {"number": 4})).text == "8"
    assert json.loads(json.loads(box.run(ToolCall("second", {"place": {"name": "Quay"}})).text)) == "Quay"


def test_a_tools_list_decides_what_is_offered(tmp_path: Path) -> None:
    source = GOOD_FILE + "\nfrom coalm_lite.tools import tool_from_function\n"
    source += "TOOLS = [first, tool_from_function(second, name='other', timeout_s=2)]\n"
    first, second = load_tools(write(tmp_path, source))
    assert callable(first)
    assert isinstance(second, Tool)
    assert [spec.name for spec in Toolbox([first, second]).specs] == ["first", "other"]


def test_a_changed_file_is_read_anew_and_leaves_no_cache_beside_it(tmp_path: Path) -> None:
    for number in ("1", "2"):
        path = write(tmp_path, f"def value() -> int:\n    return {number}\n")
        assert Toolbox(load_tools(path)).run(ToolCall("value")).text == number
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f() -> None:\n    pass\n\ndef g(:\n", "line 4: "),
        ("import math\nimport no_such_package_here\n", "line 2: ModuleNotFoundError: No module named"),
        ("def f() -> int:\n    return 1 / 0\n\n\nf()\n", "line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(4)\n", "line 2: SystemExit: 4"),
        ("from json import dumps\n_x = 1\n", "has no tools"),
        ("TOOLS = []\n", "has no tools"),
        ("TOOLS = 3\n", "TOOLS is 3"),
        ("TOOLS = ['f']\n", "TOOLS holds 'f', which cannot be called"),
        ("x = '\0'\n", "null bytes"),
        ("x = " + "(" * 5000, "town_tools.py"),
    ],
)
def test_a_file_that_gives_no_tools_is_refused_with_its_place_and_leaves_nothing(
    tmp_path: Path, source: str, words: str
) -> None:
    before = private_modules()
    path = write(tmp_path, source)
    with pytest.raises(ToolError) as caught:
        load_tools(path)
    assert caught.value.message.startswith((str(path), f"{path}, line"))
    assert words in caught.value.message
    assert caught.value.hint
    assert "Traceback" not in caught.value.message
    assert private_modules() == before


def test_a_missing_package_s_hint_names_it(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        load_tools(write(tmp_path, "import no_such_package_here\n"))
    assert caught.value.hint.startswith("install no_such_package_here")


def test_a_file_that_is_not_there_or_is_a_folder_or_no_text_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "model.gguf"
    binary.write_bytes(b"GGUF\xff\xfe\x01\x02")
    for path in (tmp_path / "absent.py", tmp_path, binary):
        with pytest.raises(ToolError, match=re.escape(str(path))):
            load_tools(path)


def test_importing_the_module_loads_no_validation_library() -> None:
    code = "import sys, coalm_lite.tools; print(sorted({'pydantic', 'jsonschema', 'llama_cpp'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
