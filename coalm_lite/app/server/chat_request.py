"""What a chat completion's request may say, as pydantic models: they read it, and `/openapi.json` is made from them.

Covered: messages with text, tools, tool_choice, response_format, sampling, stop, streams. A parameter that would change
the answer and cannot be honoured is declared with the one value that means nothing, so that others are refused by name;
what these models do not name (user, metadata, store ...) is ignored, as it changes no answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

MAX_TOOLS = 128
MAX_STOPS = 4
_I64 = 1 << 63


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class TextPart(_Model):
    """A part of a message's content. Images, sound and files are refused."""

    type: Literal["text"]
    text: str


Content: TypeAlias = str | list[TextPart]


class SystemMessage(_Model):
    """Standing instructions. Wherever such messages stand, the model reads them at the beginning."""

    role: Literal["system"]
    content: Content


class DeveloperMessage(_Model):
    """The newer name of a system message."""

    role: Literal["developer"]
    content: Content


class UserMessage(_Model):
    """What the user said."""

    role: Literal["user"]
    content: Content


class CalledFunction(_Model):
    """A function's name, and its arguments as the JSON text of an object."""

    name: Annotated[str, Field(min_length=1)]
    arguments: str


class AssistantCall(_Model):
    """A call that the assistant made."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(_Model):
    """What the assistant said or called before."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[AssistantCall] | None = None
    function_call: None = None


class ToolMessage(_Model):
    """What came of a call."""

    role: Literal["tool"]
    tool_call_id: Annotated[str, Field(min_length=1)]
    content: Content


ChatMessage: TypeAlias = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class FunctionTool(_Model):
    """A function that the model may call; its parameters are the JSON Schema of one object."""

    # A number beyond all floats (1e400) stays one, so that the schema's reader can name it; it would become null.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolEntry(_Model):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: FunctionTool


class NamedFunction(_Model):
    """A function by its name."""

    name: str


class NamedTool(_Model):
    """The function that must be called."""

    type: Literal["function"]
    function: NamedFunction


class AllowedSet(_Model):
    """Those of the tools that may be called, and whether one must."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1)]


class AllowedTools(_Model):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedSet


class TextFormat(_Model):
    """Words."""

    type: Literal["text"]


class JsonObjectFormat(_Model):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaInFormat(_Model):
    """A schema and what it is called. It is held whether `strict` is said or not."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class JsonSchemaFormat(_Model):
    """A JSON value of a schema."""

    type: Literal["json_schema"]
    json_schema: SchemaInFormat


class StreamOptions(_Model):
    """What else a stream tells."""

    include_usage: bool | None = None


Zero: TypeAlias = Annotated[float, Field(ge=0, le=0)]
ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedTool | AllowedTools
ResponseFormat: TypeAlias = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class ChatRequest(_Model):
    """The body of POST /v1/chat/completions. What is null counts as not given."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    tools: Annotated[list[ToolEntry], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1 << 31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.001, le=1000)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=_I64 - 1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=_I64 - 1)] | None = None
    seed: Annotated[int, Field(ge=-_I64, le=_I64 - 1)] | None = None
    stop: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=MAX_STOPS)]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Each of these would change the answer, and is taken only where it does not.
    n: Literal[1] | None = None
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    modalities: list[Literal["text"]] | None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    audio: None = None
    functions: None = None
    function_call: None = None
    web_search_options: None = None
    grammar: None = None
    repetition_penalty: Annotated[float, Field(ge=1, le=1)] | None = None


# Why a value of these is refused, in place of pydantic's words.
REASONS = {
    "n": "one choice is all that is given",
    "frequency_penalty": "there is no such penalty here; repeat_penalty is there",
    "presence_penalty": "there is no such penalty here; repeat_penalty is there",
    "repetition_penalty": "here it is called repeat_penalty",
    "logit_bias": "tokens cannot be biased here",
    "logprobs": "log-probabilities are not given here",
    "top_logprobs": "log-probabilities are not given here",
    "modalities": "text is all that is written here",
    "reasoning_effort": "CoALM does not reason before it answers",
    "verbosity": "the length of answers is not to be chosen; max_tokens bounds it",
    "audio": "text is all that is written here",
    "functions": "it was replaced by tools",
    "function_call": "it was replaced by tool_choice and tool_calls",
    "web_search_options": "nothing is searched here",
    "grammar": "give tools or response_format; the grammar is made from them",
}
