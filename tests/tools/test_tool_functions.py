"""Which functions can be tools, and the arguments a function gets."""

from __future__ import annotations

import enum
import functools
import threading
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from coalm_lite.errors import ToolError
from coalm_lite.tools import Toolbox, tool_from_function
from coalm_lite.types import JsonObject, JsonValue, ToolCall

if TYPE_CHECKING:
    from collections import OrderedDict as OnlyForTheChecker
    from collections.abc import Callable


class Room(enum.Enum):
    SINGLE = "single"
    DOUBLE = "double"


class Guest(BaseModel):
    """A person who stays."""

    title: str
    age: int | None = None
    room: Room = Room.SINGLE


def refuse_bad_luck(value: int) -> int:
    if value == 13:
        raise RuntimeError("an unlucky number")
    return value


def schema_of(function: Callable[..., object]) -> JsonObject:
    return tool_from_function(function).spec.parameters


def property_of(function: Callable[..., object], name: str) -> JsonValue:
    properties = schema_of(function)["properties"]
    assert isinstance(properties, dict)
    return properties[name]


def test_a_default_that_json_cannot_carry_stays_with_the_function() -> None:
    marker = object()

    def find(area: object = marker) -> bool:
        return area is marker

    assert property_of(find, "area") == {}
    assert Toolbox([find]).run(ToolCall("find")).text == "true"


@pytest.mark.parametrize("name", ["copy", "schema", "json", "model_config", "_x", "self", "p0", "class_", "größe"])
def test_any_parameter_name_works(name: str) -> None:
    namespace: dict[str, Callable[..., object]] = {}
    exec(f"def probe({name}: int, other: int = 2) -> int:\n    return {name} + other", {}, namespace)
    box = Toolbox([namespace["probe"]])
    assert box.run(ToolCall("probe", {name: 40})).text == "42"


class Town:
    def greet(self, name: str) -> str:
        """Greet a person."""
        return f"hello {name}"

    def __call__(self, name: str) -> str:
        """Call a person."""
        return f"hey {name}"


def test_bound_methods_wrapped_functions_partials_and_callable_objects_are_tools() -> None:
    @functools.cache
    def cached(name: str) -> str:
        """Cache a person."""
        return f"cached {name}"

    def two(greeting: str, name: str) -> str:
        """Greet in two words."""
        return f"{greeting} {name}"

    half = tool_from_function(functools.partial(two, "good day"), name="half")
    called = tool_from_function(Town(), name="called")
    box = Toolbox([Town().greet, cached, half, called])
    assert [spec.description for spec in box.specs] == [
        "Greet a person.",
        "Cache a person.",
        "Greet in two words.",
        "Call a person.",
    ]
    texts = [box.run(ToolCall(spec.name, {"name": "Ada"})).text for spec in box.specs]
    assert texts == ['"hello Ada"', '"cached Ada"', '"good day Ada"', '"hey Ada"']


def variadic(*names: str) -> None: ...
def keywords(**names: str) -> None: ...
def positional(name: str, /) -> None: ...
def untyped(name) -> None: ...  # type: ignore[no-untyped-def]  # that is the point
def unknown_type(name: OnlyForTheChecker[str, str]) -> None: ...
def lock(name: threading.Event) -> None: ...
def field_default(name: int = Field(3)) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter", "words"),
    [
        (variadic, "names", "is variadic positional"),
        (keywords, "names", "is variadic keyword"),
        (positional, "name", "is positional-only"),
        (untyped, "name", "has no type"),
        (unknown_type, "name", "has the type 'OnlyForTheChecker[str, str]', which cannot be evaluated"),
        (lock, "name", "has a type that no tool can take"),
        (field_default, "name", "has a Field as its default"),
    ],
)
def test_a_parameter_that_a_call_cannot_give_is_refused_by_name(
    function: Callable[..., object], parameter: str, words: str
) -> None:
    with pytest.raises(ToolError) as caught:
        tool_from_function(function)
    assert f"tool {function.__name__!r}: parameter {parameter!r} {words}" in caught.value.message
    assert caught.value.hint


def test_a_type_that_has_no_json_schema_is_refused() -> None:
    def probe(work: str) -> None:
        """Take a function."""

    import collections.abc

    probe.__annotations__["work"] = collections.abc.Callable[[int], int]
    with pytest.raises(ToolError, match="parameter 'work' has a type that no tool can take: Cannot generate"):
        tool_from_function(probe)


def test_a_return_type_that_only_the_checker_knows_does_no_harm() -> None:
    def probe(name: str) -> OnlyForTheChecker[str, str]:
        raise AssertionError(name)

    assert schema_of(probe)["required"] == ["name"]


def test_a_lambda_and_a_callable_without_signature_are_refused() -> None:
    with pytest.raises(ToolError, match="has no name of its own"):
        tool_from_function(lambda: 1)
    town = Town()
    vars(town)["__signature__"] = "none"
    with pytest.raises(ToolError, match="shows no signature"):
        tool_from_function(town, name="town")


def test_arguments_are_converted_to_their_types_and_written_as_json() -> None:
    seen: list[object] = []

    def note(day: date, room: Room, price: Decimal, people: int, guest: Guest, tags: set[str]) -> None:
        seen.extend([day, room, price, people, guest, tags])

    box = Toolbox([note])
    arguments: JsonObject = {"day": "2031-05-01", "room": "double", "price": "1.50", "people": "2"}
    call = ToolCall("note", {**arguments, "guest": {"title": "Dr", "age": "40"}, "tags": ["a"]})
    assert box.run(call).ok
    assert seen == [date(2031, 5, 1), Room.DOUBLE, Decimal("1.50"), 2, Guest(title="Dr", age=40), {"a"}]
    written: JsonObject = {**arguments, "people": 2, "guest": {"title": "Dr", "age": 40}, "tags": ["a"]}
    assert box.validate(call).arguments == written
    assert box.validate(box.validate(call)) == box.validate(call)


def test_a_value_that_is_masked_when_written_stays_as_the_model_wrote_it() -> None:
    def unlock(code: SecretStr) -> str:
        return code.get_secret_value()

    box = Toolbox([unlock])
    call = box.validate(ToolCall("unlock", {"code": "1234"}))
    assert call.arguments == {"code": "1234"}
    assert box.run(call).text == '"1234"'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "book: missing argument 'people'"),
        ({"people": "two"}, "argument people: Input should be a valid integer"),
        ({"people": "two"}, "got 'two'"),
        ({"people": 2, "peopel": 3}, "unknown argument 'peopel'; did you mean people?"),
        ({"people": 2, "guest": {"age": 3}}, "argument guest.title: Field required"),
        ({"people": 13}, "RuntimeError: an unlucky number"),
        ({"people": 2, "share": float("nan")}, "argument share: Input should be a finite number"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_words(arguments: JsonObject, words: str) -> None:
    def book(
        people: Annotated[int, AfterValidator(refuse_bad_luck)], guest: Guest | None = None, share: float = 1
    ) -> None:
        raise AssertionError("must not run")

    with pytest.raises(ToolError) as caught:
        Toolbox([book]).validate(ToolCall("book", arguments))
    assert words in caught.value.message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries({"title": st.text()}, optional={"age": st.integers(), "room": st.sampled_from(list(Room))})
)
def test_what_the_model_type_allows_its_schema_allows(guest: dict[str, object]) -> None:
    def book(guest: Guest) -> None:
        """Book."""

    written = Guest.model_validate(guest).model_dump(mode="json", exclude_unset=True)
    Draft202012Validator(schema_of(book)).validate({"guest": written})
    assert Toolbox([book]).validate(ToolCall("book", {"guest": written})).arguments == {"guest": written}


@given(st.dictionaries(st.sampled_from(["x", "y", "z"]), JSON_VALUES))
def test_validation_settles_after_one_pass(arguments: JsonObject) -> None:
    def move(x: int, y: float | str = 0, z: list[bool] | None = None) -> None:
        """Move."""

    box = Toolbox([move])
    try:
        once = box.validate(ToolCall("move", arguments))
    except ToolError as error:
        assert error.message.startswith("move: ")
    else:
        assert box.validate(once) == once
        Draft202012Validator(box.specs[0].parameters).validate(
            {name: value for name, value in once.arguments.items() if value is not None}
        )
