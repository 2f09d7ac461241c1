"""What a model is calibrated on: conversations made here, or a file of the user's.

A text file is read as llama-imatrix reads it: one text, without special tokens, its last line break left out. A file
of JSON lines (`.jsonl`) has one object a line, either `{"text": "..."}`, a text of its own, or a conversation, whose
last message is the reply that the model should give:

    {"dialect": "cra", "tools": [{"name": ..., "description": ..., "parameters": {...}}],
     "messages": [{"role": "user", "text": "..."}, {"role": "assistant", "calls": [{"name": ..., "arguments": {...}}]}]}

`dialect` is one of `coalm_lite.dialects`, cra where none is named; messages have the keys of saved conversations
(role, text, calls, thought). Nothing of a benchmark belongs into either: scores on it would no longer count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from coalm_lite import dialects
from coalm_lite.converters.calibration.talk import Conversation, conversations
from coalm_lite.dialects.base import BEGIN_OF_TEXT
from coalm_lite.errors import CoalmError, UsageError
from coalm_lite.tools.schema import spec_from_schema
from coalm_lite.types import Message, Prompt, Segment, ToolCall

JSON_LINES_SUFFIX = ".jsonl"
_SEED = 1
_CONVERSATIONS = 400  # some 170,000 tokens of Llama 3
_MAX_FILE_BYTES = 64 << 20
_SHOWN_DIGITS = 16
_FORMS_HINT = 'Each line is {"text": "..."} or {"tools": [...], "messages": [...]}; see the README\'s "imatrix".'


@dataclass(frozen=True, slots=True)
class Calibration:
    """Texts with their markers, to be read one after the other; `name` tells what they are in the file that results."""

    name: str
    prompts: tuple[Prompt, ...]


def made_here(short: bool) -> Calibration:
    """The package's own conversations; `short` with the brief instructions that coalm-nano is trained on."""
    prompts = tuple(conversation.prompt(short) for conversation in conversations(_SEED, _CONVERSATIONS))
    text = "\n".join(segment.text for prompt in prompts for segment in prompt)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_SHOWN_DIGITS]
    kind = "short " if short else ""
    return Calibration(f"coalm-lite {kind}function calls, seed {_SEED}, sha256 {digest}", prompts)


def read_calibration(path: Path, short: bool) -> Calibration:
    """What the file at `path` holds; UsageError, with the line, for one that is neither form."""
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            hint = "A few hundred kilobytes are plenty: take a part of it."
            raise UsageError(f"{path} has {size} bytes, more than {_MAX_FILE_BYTES}", hint)
        data = path.read_bytes()
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", "Save the text as UTF-8.") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", "Check the path and its permissions.") from error
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"{str(path)!r}: {error}", "Check the path.") from error
    name = f"{path.name}, sha256 {hashlib.sha256(data).hexdigest()[:_SHOWN_DIGITS]}"
    if path.suffix.lower() == JSON_LINES_SUFFIX:
        prompts = tuple(_json_lines(path, text, short))
    else:
        prompts = ((Segment(text.removesuffix("\n")),),)
    if not any(segment.text for prompt in prompts for segment in prompt):
        raise UsageError(f"{path} holds no text", "Give a text of a few thousand words.")
    return Calibration(name, prompts)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Call(_Strict):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)  # any JSON


class _Entry(_Strict):
    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    calls: list[_Call] = Field(default_factory=list)
    thought: str = ""

    def message(self) -> Message:
        calls = tuple(ToolCall(call.name, call.arguments) for call in self.calls)
        return Message(self.role, self.text, calls, self.thought)


class _Line(_Strict):
    text: str | None = None
    messages: list[_Entry] | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list)  # any JSON schema
    dialect: str = "cra"

    @model_validator(mode="after")
    def _is_one_form(self) -> _Line:
        if (self.text is None) == (self.messages is None):
            raise ValueError("has either a text or messages")
        if self.text is not None and self.model_fields_set != {"text"}:
            raise ValueError("has no other keys beside a text")
        if self.messages is not None and (len(self.messages) < 2 or self.messages[-1].role != "assistant"):
            raise ValueError("has two messages or more, the last one the assistant's")
        return self

    def prompt(self, short: bool) -> Prompt:
        if self.messages is None:
            return (Segment(BEGIN_OF_TEXT, marker=True), Segment(self.text or ""))
        dialects.get(self.dialect)
        messages = tuple(entry.message() for entry in self.messages)
        return Conversation(self.dialect, tuple(map(spec_from_schema, self.tools)), messages).prompt(short)


def _json_lines(path: Path, text: str, short: bool) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _Line.model_validate_json(line).prompt(short)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            place = ".".join(map(str, problem["loc"]))
            words = f"{place}: {problem['msg']}" if place else problem["msg"]
            raise UsageError(f"{path}, line {number}: {words}", _FORMS_HINT) from error
        except CoalmError as error:
            raise UsageError(f"{path}, line {number}: {error.message}", error.hint) from error
