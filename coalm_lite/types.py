"""Values that every layer shares: messages, tools, calls, prompts, sampling, events.

All are frozen. Nothing here imports anything heavy, so any file may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
StopReason: TypeAlias = Literal["stop", "length", "cancelled", "steps"]


def _no_parameters() -> JsonObject:
    return {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One function call: a tool's name and its arguments by name."""

    name: str
    arguments: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool; `parameters` is the JSON Schema of its arguments object."""

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=_no_parameters)


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation.

    `assistant`: `thought` (may be empty), then either `calls` or `text`. `tool`: `text` is one call's result; results
    follow their calls in the order of the calls. `system` and `user`: `text` alone.
    """

    role: Role
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt. Only a `marker` may become special tokens: a user who types one gets plain text."""

    text: str
    marker: bool = False


Prompt: TypeAlias = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; the one place where its parameters and defaults are written down.

    Greedy when `temperature` is 0. Filters apply in the order repeat penalty, top-k, top-p, min-p, temperature;
    `top_k=0`, `top_p=1`, `min_p=0` and `repeat_penalty=1` each switch their filter off. `seed=None` draws one.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    repeat_window_tokens: int = 64
    seed: int | None = None
    max_tokens: int = 512

    @property
    def repeatable(self) -> bool:
        """Whether the same tokens are to be drawn again another time."""
        return self.seed is not None and self.temperature > 0


@dataclass(frozen=True, slots=True)
class Timings:
    """What a turn cost. `ttft_s` is the time from the request to its first generated token."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    generated_tokens: int = 0
    ttft_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    total_s: float = 0.0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A valid call that is about to run."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a call: `text` is what the model reads, a result as JSON or, when not `ok`, why there is none."""

    call: ToolCall
    text: str
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The context was full: from here on the model does not see the conversation's first `messages` messages."""

    messages: int


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The turn's end: the whole answer, why it ended and what it cost."""

    text: str
    reason: StopReason
    timings: Timings


Event: TypeAlias = TextDelta | CallStarted | Observation | Trimmed | TurnDone


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model says of itself: `metadata` holds the file's own string keys."""

    context_tokens: int
    vocabulary_size: int
    metadata: Mapping[str, str] = field(default_factory=dict)
