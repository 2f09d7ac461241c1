"""What no grammar can say is checked when a call is read: one more try, then an error; nothing invalid is told."""

from __future__ import annotations

import json

import pytest

from coalm_lite.app.shared import SharedDesk
from coalm_lite.runtime.scripted import ScriptedEngine
from tests.app.server.conftest import objects, running, scripted, tool

TOOLS = [tool("book", objects(people={"type": "integer", "multipleOf": 2}))]
ODD, EVEN = "Action: book(people=3)", "Action: book(people=4)"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_the_check_refuses_gets_one_more_try(stream: bool) -> None:
    engine = ScriptedEngine([ODD, EVEN], 8192)
    with SharedDesk(engine) as desk, running(desk) as server:
        response = server.chat("a table for four", tools=TOOLS, stream=stream)
        assert response.status_code == 200
        assert json.dumps('{"people": 4}') in response.text
    assert "3 is not a multiple of 2" in engine.prompts[1]
    assert ODD in engine.prompts[1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_second_one_is_an_error(stream: bool) -> None:
    with scripted([ODD, ODD]) as server:
        response = server.chat("a table for three", tools=TOOLS, stream=stream)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_output")
        assert "3 is not a multiple of 2" in response.json()["error"]["message"]
        assert server.lives()


def test_json_that_the_check_refuses_gets_one_more_try() -> None:
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": objects(n={"type": "integer", "multipleOf": 2})},
    }
    replies = [f'[{{"name": "n", "arguments": {{"n": {n}}}}}]' for n in (3, 4)]
    with scripted(replies) as server:
        response = server.chat("four", response_format=wanted)
        assert json.loads(response.json()["choices"][0]["message"]["content"]) == {"n": 4}
        assert response.json()["usage"]["completion_tokens"] == sum(map(len, replies))


def test_a_valid_call_beside_a_wrong_one_is_not_told_either() -> None:
    with scripted([f"{EVEN}\n{ODD}", "System: How many?"]) as server:
        message = server.chat("tables", tools=TOOLS).json()["choices"][0]["message"]
        assert message["content"] == "How many?"
        assert "tool_calls" not in message


def test_the_second_try_ends_where_the_context_does() -> None:
    long = "System: " + "word " * 400
    with scripted([ODD, long], context_tokens=1200) as server:
        answer = server.chat("tables", tools=TOOLS).json()["choices"][0]
        assert answer["finish_reason"] == "length"
        assert long.removeprefix("System: ").startswith(answer["message"]["content"])
