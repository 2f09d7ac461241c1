"""The OpenAPI 3.1 description, made from the models that read the requests and write the answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from coalm_lite import __version__
from coalm_lite.app.server.chat_request import ChatRequest
from coalm_lite.app.server.chat_response import ChatChunk, ChatCompletion, ErrorBody, Health, ModelEntry, ModelList
from coalm_lite.app.server.settings import Limits
from coalm_lite.types import JsonObject, JsonValue

CHAT_PATH = "/v1/chat/completions"
MODELS_PATH = "/v1/models"
MODEL_PATH = "/v1/models/{model}"
_REFERENCE = "#/components/schemas/"
_ERRORS = {
    "400": "The request is wrong; `param` says where.",
    "401": "The key is missing or wrong.",
    "403": "The page's Origin is not allowed.",
    "404": "There is no such model.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is no JSON by its Content-Type.",
    "421": "The Host is not served here.",
    "422": "The model gave no valid call in two tries.",
    "429": "The queue is full; Retry-After says when to come again.",
    "503": "The engine crashed, and a fresh one takes the next request; or the server is stopping.",
    "504": "There was no whole answer within the time limit.",
}
_WRITTEN = (ChatCompletion, ChatChunk, ErrorBody, Health, ModelEntry, ModelList)
_EVERYWHERE = ("400", "421", "403", "401")


def openapi_document(limits: Limits, model: str) -> JsonObject:
    """The whole description, of a server of this model."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "coalm-lite",
            "version": __version__,
            "description": "CoALM on this machine, in OpenAI's form. Calls are valid by grammar.",
        },
        "security": [{"key": []}],
        "paths": {
            CHAT_PATH: {"post": _chat(limits)},
            MODELS_PATH: {"get": _get("listModels", "The model that is served, as a list.", ModelList.__name__)},
            MODEL_PATH: {"get": _model()},
            "/health": {"get": _health()},
            "/metrics": {"get": _metrics()},
        },
        "components": {
            "schemas": _schemas(model),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(model: str) -> JsonObject:
    """The models' schemas; the name of the model that is served is the one that requests may give."""
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(ChatRequest, "validation")]
    wanted += [(each, "serialization") for each in _WRITTEN]
    _, document = models_json_schema(wanted, ref_template=_REFERENCE + "{model}")
    schemas: JsonObject = document["$defs"]
    document["$defs"][ChatRequest.__name__]["properties"]["model"]["enum"] = [model]
    return schemas


def _chat(limits: Limits) -> JsonObject:
    described = (
        f"The answer to a conversation: words, or calls of its tools. At most {limits.max_tokens} tokens, and what the"
        " context has room for. Left out, temperature is 0."
    )
    answers: JsonObject = {
        "application/json": _schema(ChatCompletion.__name__),
        "text/event-stream": {
            "schema": {"type": "string", "description": "With stream: ChatChunk events, then [DONE]."}
        },
    }
    ok: JsonObject = {"description": "The answer.", "content": answers}
    return {
        "operationId": "createChatCompletion",
        "summary": "Answer a conversation.",
        "description": described,
        "requestBody": {"required": True, "content": {"application/json": _schema(ChatRequest.__name__)}},
        "responses": {"200": ok, **_errors(*_ERRORS)},
    }


def _get(operation: str, summary: str, model: str) -> JsonObject:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": _response(summary, model), **_errors(*_EVERYWHERE)},
    }


def _model() -> JsonObject:
    described = _get("retrieveModel", "The model, by its name.", ModelEntry.__name__)
    described["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    described["responses"] = {**_responses(described), **_errors("404")}
    return described


def _health() -> JsonObject:
    described = _get("health", "Whether the server takes requests.", Health.__name__)
    described["security"] = []
    described["responses"] = {**_responses(described), "503": _response("The server is stopping.", Health.__name__)}
    return described


def _metrics() -> JsonObject:
    described = _get("metrics", "Figures for Prometheus.", Health.__name__)
    text: JsonObject = {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    described["responses"] = {**_responses(described), "200": text}
    return described


def _responses(described: JsonObject) -> JsonObject:
    responses = described["responses"]
    assert isinstance(responses, dict)
    return responses


def _errors(*statuses: str) -> JsonObject:
    return {status: _response(_ERRORS[status], ErrorBody.__name__) for status in statuses}


def _response(words: str, model: str) -> JsonValue:
    return {"description": words, "content": {"application/json": _schema(model)}}


def _schema(model: str) -> JsonValue:
    return {"schema": {"$ref": _REFERENCE + model}}
