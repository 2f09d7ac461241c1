"""Run CoALM, the conversational agent models that call functions, on a laptop or inside an app.

The public names load on first use, so that `import coalm_lite` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coalm_lite.app.assistant import Assistant
    from coalm_lite.app.model_spec import ModelSpec
    from coalm_lite.app.opening import open_desk
    from coalm_lite.app.reply import Reply
    from coalm_lite.errors import AnswerCancelledError, CoalmError, EngineCrashed, ModelTooLargeError
    from coalm_lite.runtime.base import Cancel
    from coalm_lite.runtime.llamacpp import LlamaEngine
    from coalm_lite.runtime.scripted import ScriptedEngine
    from coalm_lite.session import Session
    from coalm_lite.tools import Tool, Toolbox, tool_from_function, tool_from_schema
    from coalm_lite.types import (
        CallStarted,
        Event,
        Message,
        Observation,
        Sampling,
        TextDelta,
        Timings,
        ToolCall,
        ToolSpec,
        Trimmed,
        TurnDone,
    )

_HOMES = {
    "AnswerCancelledError": "errors",
    "Assistant": "app.assistant",
    "CallStarted": "types",
    "Cancel": "runtime.base",
    "CoalmError": "errors",
    "EngineCrashed": "errors",
    "Event": "types",
    "LlamaEngine": "runtime.llamacpp",
    "Message": "types",
    "ModelSpec": "app.model_spec",
    "ModelTooLargeError": "errors",
    "Observation": "types",
    "Reply": "app.reply",
    "Sampling": "types",
    "ScriptedEngine": "runtime.scripted",
    "Session": "session",
    "TextDelta": "types",
    "Timings": "types",
    "Tool": "tools",
    "ToolCall": "types",
    "ToolSpec": "types",
    "Toolbox": "tools",
    "Trimmed": "types",
    "TurnDone": "types",
    "open_desk": "app.opening",
    "tool_from_function": "tools",
    "tool_from_schema": "tools",
}

__all__ = [
    "AnswerCancelledError",
    "Assistant",
    "CallStarted",
    "Cancel",
    "CoalmError",
    "EngineCrashed",
    "Event",
    "LlamaEngine",
    "Message",
    "ModelSpec",
    "ModelTooLargeError",
    "Observation",
    "Reply",
    "Sampling",
    "ScriptedEngine",
    "Session",
    "TextDelta",
    "Timings",
    "Tool",
    "ToolCall",
    "ToolSpec",
    "Toolbox",
    "Trimmed",
    "TurnDone",
    "open_desk",
    "tool_from_function",
    "tool_from_schema",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
