"""OpenAI's messages as ours, and the order that they must have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.app.server.conversation import read_messages, spaced
from coalm_lite.app.server.reading import read_chat_request
from coalm_lite.app.server.refusal import Refusal
from coalm_lite.types import Message, ToolCall

USER = {"role": "user", "content": "a hotel"}
SAID = {"role": "assistant", "content": "Which?"}


def calling(*ids: str, content: str | None = None) -> dict[str, Any]:
    calls = [
        {"id": each, "type": "function", "function": {"name": f"f{each}", "arguments": '{"a": 1}'}} for each in ids
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def result(call: str, text: str = "") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text or f"of {call}"}


def read(*messages: dict[str, Any]) -> list[Message]:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    return read_messages(read_chat_request(body).messages)


def test_roles_and_parts_become_messages() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    system = {"role": "system", "content": "Be brief."}
    read_back = read(system, {"role": "developer", "content": parts}, USER, SAID, {"role": "user", "content": parts})
    assert read_back == [
        Message("system", "Be brief."),
        Message("system", "a\nb"),
        Message("user", "a hotel"),
        Message("assistant", "Which?"),
        Message("user", "a\nb"),
    ]


def test_results_come_in_the_order_of_their_calls_whatever_order_they_are_sent_in() -> None:
    messages = read(USER, calling("1", "2"), result("2"), result("1"), USER)
    assert [message.text for message in messages if message.role == "tool"] == ["of 1", "of 2"]
    assert messages[1].calls == (ToolCall("f1", {"a": 1}), ToolCall("f2", {"a": 1}))


def test_an_assistant_that_spoke_and_called_did_one_after_the_other() -> None:
    messages = read(USER, calling("1", content="Let me look."), result("1"))
    assert messages[1:3] == [
        Message("assistant", "Let me look."),
        Message("assistant", calls=(ToolCall("f1", {"a": 1}),)),
    ]


def wrong_arguments(text: str) -> dict[str, Any]:
    message = calling("1")
    message["tool_calls"][0]["function"]["arguments"] = text
    return message


@pytest.mark.parametrize(
    ("messages", "place", "words"),
    [
        ([{"role": "system", "content": "x"}], "messages", "no user message"),
        ([USER, SAID], "messages[1]", "nothing comes after"),
        ([USER, calling("1")], "messages[1]", "results of 1 are missing"),
        ([USER, calling("1", "2"), result("1")], "messages[2]", "results of 2 are missing"),
        ([USER, calling("1"), USER], "messages[2]", "results of 1 are missing"),
        ([USER, result("1")], "messages[1].tool_call_id", "no call that waits"),
        ([USER, calling("1"), result("9")], "messages[2].tool_call_id", "'9' is no call that waits.*: 1"),
        ([USER, calling("1", "2"), result("1"), result("1")], "messages[3].tool_call_id", "its result already"),
        ([USER, calling("1"), result("1"), result("1")], "messages[3].tool_call_id", "no call that waits"),
        ([USER, calling("1", "1"), result("1")], "messages[1].tool_calls[1].id", "two calls"),
        ([USER, wrong_arguments("{"), result("1")], "messages[1].tool_calls[0].function.arguments", "no JSON"),
        ([USER, wrong_arguments("[1]"), result("1")], "messages[1].tool_calls[0].function.arguments", "JSON object"),
    ],
)
def test_what_is_out_of_order_is_refused_by_its_place(messages: list[dict[str, Any]], place: str, words: str) -> None:
    with pytest.raises(Refusal, match=words) as caught:
        read(*messages)
    assert (caught.value.status, caught.value.param) == (400, place)


PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_results_are_spaced_as_in_training_and_mean_the_same(value: object) -> None:
    text = json.dumps({"r": value}, ensure_ascii=False)
    assert spaced(json.dumps({"r": value}, ensure_ascii=False, separators=(",", ":"))) == text
    assert spaced(json.dumps({"r": value}, ensure_ascii=False, indent=2)).count(" ") <= text.count(" ")


@pytest.mark.parametrize("text", ["", "a, b", "{a,b}", '{"a":', "12,5", '"a,b"'])
def test_other_results_stay_as_they_are(text: str) -> None:
    assert spaced(text) == text
