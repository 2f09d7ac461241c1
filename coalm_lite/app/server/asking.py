"""A chat request to what is asked of the model: the prompt, its grammar, the limits. Works on any thread.

A `response_format` of JSON is asked as `Assistant.call` asks it: in the hammer form, the schema as the one function, of
which the grammar demands exactly one call. Beside tools it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic_core import to_json

from coalm_lite.app.server.chat_request import ChatRequest, JsonObjectFormat, JsonSchemaFormat
from coalm_lite.app.server.conversation import read_messages
from coalm_lite.app.server.refusal import Refusal
from coalm_lite.app.server.toolset import Toolset, toolset_of
from coalm_lite.app.structured import Shape, shape_of_schema
from coalm_lite.decoding.desk import Desk
from coalm_lite.dialects import Dialect, hammer
from coalm_lite.errors import ContextFullError, ToolError
from coalm_lite.grammar import Grammar
from coalm_lite.session import INSTRUCTIONS_KEY
from coalm_lite.types import JsonObject, JsonValue, Message, Sampling, ToolSpec

_ANY_OBJECT: JsonObject = {"title": "answer", "type": "object", "properties": {}, "additionalProperties": True}
_FORMAT_PLACE = "response_format.json_schema.schema"


@dataclass(frozen=True)
class Asked:
    """What is asked, ready to be tokenized again with more messages."""

    dialect: Dialect
    short: bool
    messages: tuple[Message, ...]
    specs: tuple[ToolSpec, ...]
    grammar: Grammar
    sampling: Sampling
    stops: tuple[str, ...]
    tools: Toolset | None = None
    shape: Shape[JsonValue] | None = None
    pieces: bool = False  # whether the words are wanted as they come

    def tokens(self, desk: Desk, more: Sequence[Message] = ()) -> list[int]:
        """The prompt's tokens; ContextFullError, with the numbers, where no answer fits behind them."""
        prompt = self.dialect.render([*self.messages, *more], self.specs, self.short)
        tokens = desk.tokenize(prompt)
        context = desk.info.context_tokens
        if len(tokens) >= context:
            raise ContextFullError(
                f"the prompt has {len(tokens)} tokens ({len(self.messages) + len(more)} messages, {len(self.specs)}"
                f" tools), and the context is {context} tokens",
                "Shorten the conversation, or serve the model with a larger --context.",
            )
        return tokens


def read_asked(request: ChatRequest, desk: Desk, dialect: Dialect, max_tokens: int) -> Asked:
    """What a request asks, in the model's usual dialect, of at most `max_tokens`; Refusal for what does not fit."""
    messages = tuple(read_messages(request.messages))
    short = desk.info.metadata.get(INSTRUCTIONS_KEY) == "short"
    sampling = _sampling(request, max_tokens)
    shape = _shape(request)
    if shape is not None:
        return Asked(hammer, short, messages, (shape.spec,), _held(shape), sampling, (), shape=shape)
    tools = toolset_of(request, dialect)
    stops = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    pieces = bool(request.stream or stops)
    return Asked(dialect, short, messages, tools.specs, tools.grammar, sampling, stops, tools=tools, pieces=pieces)


def _sampling(request: ChatRequest, max_tokens: int) -> Sampling:
    """What is not said is `Sampling`'s default: greedy, not the temperature 1 of OpenAI's models."""
    default = Sampling()
    limits = [limit for limit in (request.max_tokens, request.max_completion_tokens) if limit is not None]
    return Sampling(
        temperature=default.temperature if request.temperature is None else request.temperature,
        top_k=default.top_k if request.top_k is None else request.top_k,
        top_p=default.top_p if request.top_p is None else max(request.top_p, 1e-6),
        min_p=default.min_p if request.min_p is None else request.min_p,
        repeat_penalty=default.repeat_penalty if request.repeat_penalty is None else request.repeat_penalty,
        seed=None if request.seed is None else request.seed % (1 << 63),
        max_tokens=min([*limits, max_tokens]),
    )


def _shape(request: ChatRequest) -> Shape[JsonValue] | None:
    wanted = request.response_format
    if not isinstance(wanted, JsonObjectFormat | JsonSchemaFormat):
        return None
    if request.tools and request.tool_choice != "none":
        problem = "response_format: JSON cannot be asked for beside tools; give tool_choice none, or leave one out"
        raise Refusal(400, problem, "response_format", "unsupported_parameter")
    if isinstance(wanted, JsonObjectFormat):
        return _shape_of(to_json(_ANY_OBJECT))
    schema = {**wanted.json_schema.schema_, "title": wanted.json_schema.name}
    if wanted.json_schema.description:
        schema["description"] = wanted.json_schema.description
    return _shape_of(to_json(schema))


@lru_cache(maxsize=64)
def _shape_of(written: bytes) -> Shape[JsonValue]:
    from pydantic_core import from_json

    try:
        return shape_of_schema(from_json(written))
    except ToolError as error:
        raise _refused(error) from error


def _held(shape: Shape[JsonValue]) -> Grammar:
    try:
        return shape.grammar
    except ToolError as error:
        raise _refused(error) from error


def _refused(error: ToolError) -> Refusal:
    hint = f" {error.hint}" if error.hint else ""
    return Refusal(400, f"response_format: {error.message}.{hint}", _FORMAT_PLACE, "invalid_schema")
