"""Conversations on disk: one JSON object with a format mark, model, dialect, system text and messages.

A file is written whole or not at all, and only over another conversation. It is read strictly: a wrong key or kind is
an error that names its place. Tools are not saved: a conversation goes on with the tools of the chat or the assistant
that loads it. Both write the same files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn, get_args

from coalm_lite.errors import CoalmError, UsageError
from coalm_lite.types import JsonObject, JsonValue, Message, Role, ToolCall

FORMAT = "coalm-lite conversation"
VERSION = 1
_MAX_BYTES = 64 << 20
_HINT = "Give a file that a chat's /save or an assistant's save wrote."
_MESSAGE_KEYS = ("role", "text", "calls", "thought")
_KEYS = ("format", "version", "model", "dialect", "system", "messages")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is saved; `model` and `dialect` say with what it was held."""

    model: str
    dialect: str
    system: str
    messages: tuple[Message, ...]


def save(path: Path, conversation: Conversation) -> None:
    """Write `conversation` to `path`; UsageError when another kind of file lies there."""
    if path.exists() and not _is_conversation(path):
        raise UsageError(f"{path} exists and is no conversation", "Choose another name, or delete it first.")
    content = {"format": FORMAT, "version": VERSION, **asdict(conversation)}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    with _file_errors(path), tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        new = Path(folder) / path.name
        new.write_text(text, encoding="utf-8")
        new.replace(path)


def _is_conversation(path: Path) -> bool:
    try:
        load(path)
    except CoalmError:
        return False
    return True


def load(path: Path) -> Conversation:
    """The conversation in the file at `path`."""
    with _file_errors(path):
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is too large for a conversation", f"They have at most {_MAX_BYTES} bytes.")
        data = path.read_bytes()
    try:
        content = json.loads(data)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # refuses NaN, infinity, half characters
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", _HINT) from error
    return _Reader(path).conversation(content)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Turn what the file system and odd texts do into a UsageError that names the file."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", "Check the path and its permissions.") from error
    except ValueError as error:  # a NUL in the path, a lone surrogate in the conversation
        raise UsageError(f"{str(path)!r}: {error}", "Check the path and the conversation's text.") from error


class _Reader:
    """Reads a file's JSON value; every error names the file and the place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def conversation(self, content: JsonValue) -> Conversation:
        top = self._object(content, "the file", _KEYS)
        if top.get("format") != FORMAT or top.get("version") != VERSION:
            raise UsageError(f"{self._path} is no conversation of this version", _HINT)
        model, dialect, system = (self._text(top.get(key), key) for key in ("model", "dialect", "system"))
        entries = self._list(top.get("messages"), "messages")
        messages = tuple(self._message(entry, f"messages[{index}]") for index, entry in enumerate(entries))
        self._check_order(messages)
        return Conversation(model, dialect, system, messages)

    def _check_order(self, messages: tuple[Message, ...]) -> None:
        """Results follow the calls they belong to, one each, and nothing stands between."""
        waiting = 0
        for index, message in enumerate(messages):
            if (message.role == "tool") != (waiting > 0):
                self._fail(f"messages[{index}]", "a result stands after its call, and every call has one")
            waiting = waiting - 1 if message.role == "tool" else len(message.calls)
        if waiting:
            self._fail("messages", f"the last calls lack {waiting} results")

    def _message(self, value: JsonValue, place: str) -> Message:
        entry = self._object(value, place, _MESSAGE_KEYS)
        role = self._role(entry.get("role"), f"{place}.role")
        calls = self._list(entry.get("calls", []), f"{place}.calls")
        return Message(
            role,
            self._text(entry.get("text", ""), f"{place}.text"),
            tuple(self._call(call, f"{place}.calls[{index}]") for index, call in enumerate(calls)),
            self._text(entry.get("thought", ""), f"{place}.thought"),
        )

    def _role(self, value: JsonValue, place: str) -> Role:
        roles: tuple[Role, ...] = get_args(Role)
        for role in roles:
            if role == value and role != "system":  # the system text stands beside the messages
                return role
        self._fail(place, f"{value!r} is not user, assistant or tool")

    def _call(self, value: JsonValue, place: str) -> ToolCall:
        call = self._object(value, place, ("name", "arguments"))
        arguments = self._object(call.get("arguments"), f"{place}.arguments")
        return ToolCall(self._text(call.get("name"), f"{place}.name"), arguments)

    def _object(self, value: JsonValue, place: str, keys: tuple[str, ...] = ()) -> JsonObject:
        """`value`, an object with no other keys than `keys`, where any are given."""
        if not isinstance(value, dict):
            self._fail(place, "must be an object")
        unknown = [key for key in value if keys and key not in keys]
        if unknown:
            self._fail(place, f"has the unknown key {unknown[0]!r}")
        return value

    def _list(self, value: JsonValue, place: str) -> list[JsonValue]:
        if not isinstance(value, list):
            self._fail(place, "must be a list")
        return value

    def _text(self, value: JsonValue, place: str) -> str:
        if not isinstance(value, str):
            self._fail(place, "must be a text")
        return value

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise UsageError(f"{self._path}: {place}: {problem}", _HINT)
