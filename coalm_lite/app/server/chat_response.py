"""What a chat completion's answer says, whole or in chunks, as pydantic models: they write it and describe it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from coalm_lite.app.server.answering import Finished, FinishReason, Usage
from coalm_lite.types import ToolCall


class PromptDetails(BaseModel):
    """Those of the prompt's tokens that were computed before."""

    cached_tokens: int


class UsageCounts(BaseModel):
    """What an answer took, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class WrittenFunction(BaseModel):
    """The function that is called, its arguments as the JSON text of an object that its schema allows."""

    name: str
    arguments: str


class WrittenCall(BaseModel):
    """A call."""

    id: str
    type: Literal["function"] = "function"
    function: WrittenFunction


class ReplyMessage(BaseModel):
    """The assistant's message: words, or calls."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[WrittenCall] | None = None


class Choice(BaseModel):
    """The one choice."""

    index: Literal[0] = 0
    message: ReplyMessage
    finish_reason: FinishReason
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageCounts


class CallChunk(WrittenCall):
    """A call in a stream; it comes whole."""

    index: int


class Delta(BaseModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[CallChunk] | None = None


class ChunkChoice(BaseModel):
    """The one choice's next piece."""

    index: Literal[0] = 0
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: None = None


class ChatChunk(BaseModel):
    """A piece of an answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageCounts | None = None


class ModelEntry(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["coalm-lite"] = "coalm-lite"
    context_tokens: int


class ModelList(BaseModel):
    """The models that are served: one."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class Health(BaseModel):
    """Whether the server takes requests: "ok", or "stopping". `loaded`: whether the engine is there just now."""

    status: Literal["ok", "stopping"]
    loaded: bool


class ErrorDetail(BaseModel):
    """What was wrong, in words; `param` is its place in the body."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """OpenAI's form of an error."""

    error: ErrorDetail


class Speaker:
    """Writes one answer's JSON."""

    def __init__(self, model: str, created: int, tells_usage: bool = False) -> None:
        """`tells_usage`: a stream ends with its usage."""
        self._id = f"chatcmpl-{secrets.token_hex(14)}"
        self._model = model
        self._created = created
        self._tells_usage = tells_usage

    def whole(self, text: str, finished: Finished, reason: FinishReason) -> bytes:
        """The answer in one piece."""
        message = ReplyMessage(content=text or None) if finished.calls else ReplyMessage(content=text)
        if finished.calls:
            message.tool_calls = _calls(finished.calls)
        completion = ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[Choice(message=message, finish_reason=reason)],
            usage=_usage(finished.usage),
        )
        unset = {"choices": {0: {"message": {"tool_calls"}}}} if not finished.calls else None
        return completion.model_dump_json(exclude=unset).encode()

    def first(self) -> bytes:
        """The first chunk: who speaks."""
        return self._event(Delta(role="assistant", content=""))

    def words(self, text: str) -> bytes:
        """A piece of text."""
        return self._event(Delta(content=text))

    def calls(self, calls: Sequence[ToolCall]) -> bytes:
        """The calls, whole and valid."""
        listed = [CallChunk(index=at, **call.model_dump()) for at, call in enumerate(_calls(calls))]
        return self._event(Delta(tool_calls=listed))

    def last(self, usage: Usage, reason: FinishReason) -> bytes:
        """The last chunk, the usage where it is wanted, and the end mark."""
        end = self._event(Delta(), reason)
        if self._tells_usage:
            end += self._chunk([], _usage(usage))
        return end + b"data: [DONE]\n\n"

    def _event(self, delta: Delta, reason: FinishReason | None = None) -> bytes:
        return self._chunk([ChunkChoice(delta=delta, finish_reason=reason)], None)

    def _chunk(self, choices: list[ChunkChoice], usage: UsageCounts | None) -> bytes:
        chunk = ChatChunk(id=self._id, created=self._created, model=self._model, choices=choices, usage=usage)
        data = chunk.model_dump(mode="json")
        for choice in data["choices"]:
            choice["delta"] = {key: value for key, value in choice["delta"].items() if value is not None}
        if not self._tells_usage:
            del data["usage"]
        return event_of(data)


def event_of(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _calls(calls: Sequence[ToolCall]) -> list[WrittenCall]:
    return [
        WrittenCall(
            id=f"call_{secrets.token_hex(12)}",
            function=WrittenFunction(name=call.name, arguments=json.dumps(call.arguments, ensure_ascii=False)),
        )
        for call in calls
    ]


def _usage(usage: Usage) -> UsageCounts:
    return UsageCounts(
        prompt_tokens=usage.prompt,
        completion_tokens=usage.written,
        total_tokens=usage.prompt + usage.written,
        prompt_tokens_details=PromptDetails(cached_tokens=usage.cached),
    )
