"""The error tree: one base, a hint with each error, an exit code with each class.

A message names the value and the place; the hint says what to do next. `cli` turns any of these into one message and
one exit code; nothing else does. Exit codes: 1 a failure the user can act on, 2 wrong usage, 3 a gate not met,
4 undecided, 130 interrupted.
"""

from __future__ import annotations

from typing import ClassVar


class CoalmError(Exception):
    """Base of every error that coalm-lite raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """For another process: whatever arguments a subclass is made with, what it holds travels."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[CoalmError], arguments: tuple[object, ...], held: dict[str, object]) -> CoalmError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(held)
    return error


class UsageError(CoalmError):
    """The request itself is wrong: an unknown name, an option that does not fit."""

    exit_code = 2


class MissingExtraError(CoalmError):
    """An optional package is not installed; the hint names the extra that brings it."""


class ModelError(CoalmError):
    """A model cannot be found, read or loaded."""


class ModelTooLargeError(ModelError):
    """A model needs more memory than there is, or than it may take; nothing of it was loaded."""


class HubError(CoalmError):
    """The Hub, or the way to it, refused or failed."""


class StoreError(CoalmError):
    """The local store cannot be read or written: no room, no permission, a damaged record."""


class ContextFullError(CoalmError):
    """The prompt, or the prompt and the answer, do not fit into the context. Nothing was cut."""


class DecodingError(CoalmError):
    """llama.cpp (or another engine) reported a failure while it computed."""


class AnswerCancelledError(CoalmError):
    """What was asked for was cancelled before it was there."""

    exit_code = 130


class EngineCrashed(CoalmError):  # noqa: N818 - what happened, and the engine's user did nothing wrong
    """The process that an engine ran in ended, or was ended because it did nothing more; the next request starts one.

    `ending` says how in words, `log` has the last lines that it wrote.
    """

    def __init__(self, message: str, hint: str = "", ending: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.ending = ending
        self.log = log


class ServerError(CoalmError):
    """A server that runs a model, or the way to it, refused, failed, or answered what cannot be read."""


class EvalError(CoalmError):
    """A run file or a benchmark's data cannot be read, or two runs cannot be compared."""


class ToolError(CoalmError):
    """A tool cannot be registered or its file cannot be read."""


class SchemaError(ToolError):
    """A tool's schema has a keyword that cannot be held: names tool, JSON pointer and keyword."""

    exit_code = 2

    def __init__(self, tool: str, pointer: str, keyword: str, problem: str, hint: str = "") -> None:
        super().__init__(f"tool {tool!r}: {pointer or '/'}: {keyword}: {problem}", hint)
        self.tool = tool
        self.pointer = pointer
        self.keyword = keyword


class OutputError(CoalmError):
    """A model's output is not of its dialect's form."""


class MalformedOutputError(OutputError):
    """No continuation could make this output valid."""


class TruncatedOutputError(OutputError):
    """The output ends in the middle of a form that was valid so far."""
