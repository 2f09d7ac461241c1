"""Bodies of requests: what is wrong is refused by its place, what changes no answer is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coalm_lite.app.server.chat_request import REASONS, ChatRequest
from coalm_lite.app.server.reading import read_chat_request
from coalm_lite.app.server.refusal import Refusal

HELLO = [{"role": "user", "content": "hello"}]


def refused(**more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_chat_request(json.dumps({"model": "m", "messages": HELLO, **more}).encode())
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff", b'{"model": NaN}', b'{"model": "\\ud800"}', b"[" * 5000 + b"]" * 5000]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="body") as caught:
        read_chat_request(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"model": 1}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [*HELLO, {"role": "robot", "content": "x"}]}, "messages[1]"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}]},
            "messages[0].content[1].type",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"seed": "x"}, "seed"),
        ({"seed": 1 << 70}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -0.5}, "presence_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"modalities": ["audio"]}, "modalities[0]"),
        ({"grammar": "root ::= x"}, "grammar"),
    ],
)
def test_what_is_wrong_is_refused_by_its_place(more: dict[str, Any], place: str) -> None:
    refusal = refused(**more)
    assert refusal.param == place
    assert refusal.message.startswith(place)


def test_a_parameter_that_cannot_be_honoured_is_refused_with_the_reason() -> None:
    assert refused(n=3).message == "n: one choice is all that is given; got 3"
    assert refused(functions=[{"name": "f"}]).code == "unsupported_parameter"
    assert set(REASONS) <= set(ChatRequest.model_fields)


def test_what_changes_no_answer_is_ignored_and_null_is_not_given() -> None:
    ignored = {"user": "u", "store": True, "metadata": {"a": "b"}, "service_tier": "auto", "whatever": [1]}
    harmless = {"n": 1, "frequency_penalty": 0, "logit_bias": {}, "logprobs": False, "modalities": ["text"]}
    nulls = dict.fromkeys(set(ChatRequest.model_fields) - {"model", "messages"})
    for more in (ignored, harmless, nulls):
        body = json.dumps({"model": "m", "messages": HELLO, **more}).encode()
        assert read_chat_request(body).messages[0].content == "hello"
