"""The embedded model, requests to it, and desks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from coalm_lite import models
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.desk import Desk
from coalm_lite.decoding.requests import Request
from coalm_lite.dialects import cra
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Sampling, ToolSpec

TOOLS = (
    ToolSpec(
        "find_hotels",
        parameters={
            "type": "object",
            "properties": {
                "area": {"type": "string", "enum": ["north", "south"]},
                "name": {"type": "string", "maxLength": 40},
            },
            "required": ["area"],
        },
    ),
)
SAID = (
    "I need a hotel in the north",
    "a hotel in the south, please",
    "Is Larkspur Grand in the south?",
    "hello there",
    "a hotel called Pebble House in the north please",
    "thanks",
    "what can you do?",
    "a cheap hotel",
)
Ask: TypeAlias = Callable[..., Request]


@pytest.fixture(scope="session")
def nano_path() -> Path:
    """The embedded model's file."""
    return models.shipped_model_path("coalm-nano.Q8_0.gguf")


@pytest.fixture
def desk(nano_path: Path) -> Iterator[SharedDesk]:
    """coalm-nano with four sequences; one thread, since tests share the machine."""
    with SharedDesk(LlamaEngine.load(nano_path, threads=1, sequences=4)) as opened:
        yield opened


def asked(desk: Desk, words: str, max_tokens: int = 40) -> Request:
    """A user's words as a request under the tools' grammar."""
    tokens = desk.tokenize(cra.render([Message("user", words)], TOOLS, True))
    return Request(tokens, Sampling(max_tokens=max_tokens), cra.compiled(TOOLS))


def endless(desk: Desk, words: str = "hello there") -> Request:
    """A request whose answer goes on until somebody stops it, or nearly: a grammar that has no end."""
    tokens = desk.tokenize(cra.render([Message("user", words)], TOOLS, True))
    return Request(tokens, Sampling(max_tokens=1500), 'root ::= [a-z]{1,9} " " root')
