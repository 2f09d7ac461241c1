"""What the server says of itself: /openapi.json holds what is answered, /metrics is Prometheus' text format."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from coalm_lite.types import JsonObject
from tests.app.server.conftest import CHAT, Server, tool

SAMPLE = re.compile(r'^coalm_lite_[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? \S+$')


@pytest.fixture(scope="module")
def described(nano: Server) -> dict[str, Any]:
    """The description."""
    document: dict[str, Any] = nano.client.get("/openapi.json").json()
    return document


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def check(described: dict[str, Any], schema: JsonObject, value: object) -> None:
    Draft202012Validator({**schema, "components": described["components"]}).validate(value)


def test_every_reference_leads_somewhere_and_every_schema_is_one(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert {reference.rpartition("/")[2] for reference in references(described)} <= set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert {"ChatRequest", "ChatCompletion", "ErrorBody"} <= set(schemas)


def test_what_is_answered_is_what_is_described(nano: Server, described: dict[str, Any], town: list[JsonObject]) -> None:
    post = described["paths"][CHAT]["post"]
    answers = [
        nano.chat("a hotel in the north", tools=town),
        nano.chat("hello"),
        nano.chat("hello", n=2),
        nano.chat("word " * 9000),
        nano.chat("hello", tools=[tool("f(x)")]),
        nano.client.post(CHAT, json={"model": "x", "messages": []}),
        nano.client.post(CHAT, headers={"Authorization": "Bearer no"}),
        nano.client.post(CHAT, headers={"Origin": "https://evil.example"}),
        nano.client.post(CHAT, content="x"),
    ]
    assert {200, 400, 401, 403, 415} == {answer.status_code for answer in answers}
    for answer in answers:
        content = post["responses"][str(answer.status_code)]["content"]["application/json"]
        check(described, content["schema"], answer.json())
    for path in ("/v1/models", "/health"):
        content = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        check(described, content["schema"], nano.client.get(path).json())


def test_what_the_description_allows_is_read(nano: Server, described: dict[str, Any], town: list[JsonObject]) -> None:
    request = {"$ref": "#/components/schemas/ChatRequest"}
    body = {"model": "nano", "messages": [{"role": "user", "content": "hello"}], "tools": town, "tool_choice": "none"}
    check(described, request, body)
    assert nano.client.post(CHAT, json=body).status_code == 200
    errors = Draft202012Validator({**request, "components": described["components"]})
    for wrong in ({"n": 2}, {"temperature": 3}, {"stop": [""]}, {"functions": []}, {"messages": [{"role": "robot"}]}):
        assert not errors.is_valid({**body, **wrong})
        assert nano.client.post(CHAT, json={**body, **wrong}).status_code == 400


def test_metrics_are_in_the_text_format_and_count(nano: Server) -> None:
    def figures() -> dict[str, float]:
        response = nano.client.get("/metrics")
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = response.text.splitlines()
        assert response.text.endswith("\n")
        samples = [line for line in lines if not line.startswith("#")]
        assert all(SAMPLE.match(line) for line in samples)
        named = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
        assert named == {line.split()[2] for line in lines if line.startswith("# HELP ")}
        assert {re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", line.split(" ")[0]) for line in samples} <= named
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in samples}

    before = figures()
    assert nano.chat("hello").status_code == 200
    assert nano.client.get("/v1/models/other").status_code == 404
    after = figures()
    grown = {name for name in after if after[name] > before.get(name, 0)}
    assert {
        'coalm_lite_requests_total{path="/v1/chat/completions",code="200"}',
        'coalm_lite_requests_total{path="/v1/models/{model}",code="404"}',
        'coalm_lite_answers_total{finish_reason="stop"}',
        "coalm_lite_prompt_tokens_total",
        "coalm_lite_answer_tokens_total",
        "coalm_lite_first_token_seconds_count",
        'coalm_lite_first_token_seconds_bucket{le="+Inf"}',
    } <= grown
    buckets = [value for name, value in after.items() if "_bucket" in name]
    assert buckets == sorted(buckets)
    assert buckets[-1] == after["coalm_lite_first_token_seconds_count"]
