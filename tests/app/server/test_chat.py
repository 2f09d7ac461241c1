"""Chat completions on coalm-nano: calls are valid whatever is chosen, a stream says what one piece says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from coalm_lite import demo
from coalm_lite.app.shared import SharedDesk
from coalm_lite.tools import Toolbox
from coalm_lite.types import JsonObject, ToolCall
from tests.app.server.conftest import CHAT, Server, objects, running, tool

HOTEL = "a cheap hotel in the north with parking"
FOUND = '{"count": 1, "hotels": [{"name": "Juniper Lodge", "area": "north", "pricerange": "cheap", "stars": 2}]}'


LIST: JsonObject = {"type": "array", "items": {"enum": [1, 2]}}


def json_of(schema: JsonObject) -> JsonObject:
    """The response_format of a schema."""
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


def named(name: str) -> JsonObject:
    """A function's name in OpenAI's form."""
    return {"type": "function", "function": {"name": name}}


def choice(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    (only,) = response.json()["choices"]
    return only


def calls(response: httpx.Response) -> list[ToolCall]:
    listed = choice(response)["message"].get("tool_calls", [])
    return [ToolCall(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in listed]


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, whose end mark is there."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, end, nothing = response.text.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_request_with_tools_gets_a_valid_call(nano: Server, town: list[JsonObject]) -> None:
    response = nano.chat(HOTEL, tools=town)
    only = choice(response)
    assert (only["finish_reason"], only["message"]["content"]) == ("tool_calls", None)
    (call,) = calls(response)
    assert call == ToolCall("find_hotels", {"area": "north", "pricerange": "cheap", "parking": True})
    assert Toolbox(demo.tools()).validate(call) == call


def test_a_conversation_goes_on_with_the_result(nano: Server, town: list[JsonObject]) -> None:
    message = choice(nano.chat(HOTEL, tools=town))["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": FOUND}
    only = choice(nano.chat(HOTEL, message, result, tools=town))
    assert only["finish_reason"] == "stop"
    assert "Juniper Lodge" in only["message"]["content"]
    assert "tool_calls" not in only["message"]


def test_usage_tells_what_was_there_already(nano: Server, town: list[JsonObject]) -> None:
    first, second = (nano.chat(HOTEL, tools=town).json()["usage"] for _ in range(2))
    assert second["prompt_tokens"] == first["prompt_tokens"] > 0
    assert second["prompt_tokens_details"]["cached_tokens"] == second["prompt_tokens"] - 2
    assert second["total_tokens"] == second["prompt_tokens"] + second["completion_tokens"]


def test_a_stream_says_what_one_piece_says(nano: Server, town: list[JsonObject]) -> None:
    for said in (HOTEL, "hello", "thanks"):
        whole = choice(nano.chat(said, tools=town))
        *events, last = chunks(nano.chat(said, tools=town, stream=True))
        deltas = [event["choices"][0]["delta"] for event in events]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert "".join(delta.get("content", "") for delta in deltas) == (whole["message"]["content"] or "")
        streamed = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
        assert streamed == [call["function"] for call in whole["message"].get("tool_calls", [])]
        assert last["choices"][0] == {
            "index": 0,
            "delta": {},
            "finish_reason": whole["finish_reason"],
            "logprobs": None,
        }
        assert "usage" not in last


def test_a_stream_tells_its_usage_where_it_is_wanted(nano: Server) -> None:
    *events, last = chunks(nano.chat("hello", stream=True, stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] > 0
    assert all(event["usage"] is None for event in events)


@pytest.mark.parametrize("said", [HOTEL, "hello", "thanks", "a train to Quillhaven on Saturday", "§$%"])
def test_the_choice_of_tools_is_held_whatever_is_said(nano: Server, town: list[JsonObject], said: str) -> None:
    box = Toolbox(demo.tools())
    forced = calls(nano.chat(said, tools=town, tool_choice="required", parallel_tool_calls=False))
    assert len(forced) == 1
    assert box.validate(forced[0]) == forced[0]
    trains = named("find_trains")
    assert [call.name for call in calls(nano.chat(said, tools=town, tool_choice=trains))] == ["find_trains"]
    some = {"mode": "required", "tools": [trains]}
    chosen = calls(nano.chat(said, tools=town, tool_choice={"type": "allowed_tools", "allowed_tools": some}))
    assert {call.name for call in chosen} == {"find_trains"}
    assert calls(nano.chat(said, tools=town, tool_choice="none")) == []


@pytest.mark.parametrize("dialect", ["hammer", "bfcl", "dst"])
def test_calls_are_valid_in_every_dialect(nano_desk: SharedDesk, town: list[JsonObject], dialect: str) -> None:
    box = Toolbox(demo.tools())
    with running(nano_desk, dialect=dialect) as server:
        for call in calls(server.chat(HOTEL, tools=town, tool_choice="required")):
            assert box.validate(call) == call


@pytest.mark.parametrize("stream", [False, True])
def test_json_of_a_schema(nano: Server, stream: bool) -> None:
    schema = objects(area={"enum": ["north", "south"]}, stars={"type": "integer", "minimum": 0, "maximum": 5})
    wanted = {"type": "json_schema", "json_schema": {"name": "find_hotels", "schema": schema, "strict": True}}
    response = nano.chat("I need a four star hotel in the south.", response_format=wanted, stream=stream)
    if stream:
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in chunks(response))
    else:
        text = choice(response)["message"]["content"]
    assert json.loads(text) == {"area": "south", "stars": 4}


def test_json_of_a_schema_that_is_no_object(nano: Server) -> None:
    wanted = json_of(LIST)
    value = json.loads(choice(nano.chat("one and two", response_format=wanted))["message"]["content"])
    assert isinstance(value, list)
    assert set(value) <= {1, 2}


def test_any_json_object(nano: Server) -> None:
    only = choice(nano.chat(HOTEL, response_format={"type": "json_object"}))
    assert only["finish_reason"] == "stop"
    assert isinstance(json.loads(only["message"]["content"]), dict)


def test_the_limit_of_tokens_cuts_words_and_leaves_out_calls(nano: Server, town: list[JsonObject]) -> None:
    words = choice(nano.chat("hello", max_tokens=3))
    assert words["finish_reason"] == "length"
    cut = nano.chat(HOTEL, tools=town, max_completion_tokens=6)
    assert (choice(cut)["finish_reason"], calls(cut)) == ("length", [])
    assert cut.json()["usage"]["completion_tokens"] <= 6
    wanted = json_of(objects(name={"type": "string"}))
    assert choice(nano.chat("hello", response_format=wanted, max_tokens=5))["finish_reason"] == "length"


def test_a_stop_word_ends_the_answer_before_it(nano: Server) -> None:
    whole = choice(nano.chat("hello"))["message"]["content"]
    stop = whole.split()[2]
    for stream in (False, True):
        response = nano.chat("hello", stop=[stop, "§"], stream=stream)
        if stream:
            deltas = [event["choices"][0]["delta"] for event in chunks(response)]
            text = "".join(delta.get("content", "") for delta in deltas)
        else:
            text = choice(response)["message"]["content"]
        assert text == whole[: whole.index(stop)]


def test_a_number_beyond_all_floats_in_a_schema_is_refused_as_such(nano: Server) -> None:
    huge = tool("book", {"type": "object", "properties": {"stay": {"type": "number", "maximum": float("inf")}}})
    body = json.dumps({"model": "nano", "messages": [{"role": "user", "content": HOTEL}], "tools": [huge]})
    response = nano.client.post(
        CHAT, content=body.replace("Infinity", "1e999"), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert "'book'" in response.json()["error"]["message"]
    assert "Out of range float values" in response.json()["error"]["message"]


def test_a_seed_draws_the_same_again(nano: Server) -> None:
    drawn = [choice(nano.chat(HOTEL, temperature=1.5, seed=-7))["message"]["content"] for _ in range(2)]
    assert drawn[0] == drawn[1]
    many = {choice(nano.chat(HOTEL, temperature=1.5, seed=seed))["message"]["content"] for seed in range(5)}
    assert len(many) > 1


def test_a_schema_that_cannot_be_held_is_refused_by_tool_pointer_and_keyword(nano: Server) -> None:
    misspelt = tool("book", {"type": "object", "properties": {"day": {"type": "string", "minLenght": 3}}})
    response = nano.chat(HOTEL, tools=[tool("fine"), misspelt])
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "tools[1].function.parameters/properties/day"
    assert "tool 'book': /properties/day: minLenght" in error["message"]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"tools": [tool("f"), tool("f")]}, "tools[1].function.name"),
        ({"tools": [tool("f(x)")]}, "tools[0].function"),
        ({"tools": [tool("f", {"type": "array"})]}, "tools[0].function"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": [tool("f")], "tool_choice": named("g")},
            "tool_choice.function.name",
        ),
        ({"tools": [tool("f")], "response_format": {"type": "json_object"}}, "response_format"),
        (
            {"response_format": json_of({"$ref": "http://x/y"})},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_tools_and_formats_that_do_not_fit_are_refused_by_place(nano: Server, more: dict[str, Any], place: str) -> None:
    response = nano.chat("hello", **more)
    assert (response.status_code, response.json()["error"]["param"]) == (400, place)


def test_a_conversation_that_does_not_fit_is_refused_with_the_numbers(nano: Server) -> None:
    response = nano.chat("word " * 9000)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "and the context is 2048 tokens" in error["message"]


def test_another_model_is_not_there(nano: Server) -> None:
    response = nano.client.post(CHAT, json={"model": "gpt", "messages": [{"role": "user", "content": ""}]})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert nano.client.get("/v1/models/gpt").status_code == 404
    assert nano.client.get("/v1/models/nano").json() == nano.client.get("/v1/models").json()["data"][0]
