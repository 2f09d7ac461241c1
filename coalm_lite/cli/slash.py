"""The slash commands of a chat: each takes the chat and the words after it and gives what to show.

A request that begins with a slash is sent to the model when a space stands before the slash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from coalm_lite.app import conversation_file
from coalm_lite.app.conversation_file import Conversation
from coalm_lite.cli.wording import printable, timing_words, tool_count_words
from coalm_lite.errors import UsageError
from coalm_lite.session import Session
from coalm_lite.types import ToolSpec, TurnDone


@dataclass
class Chat:
    """A conversation in progress: its session, its turns so far, whether the user has ended it."""

    session: Session
    model_name: str
    turns: list[TurnDone] = field(default_factory=list)
    finished: bool = False


Action: TypeAlias = Callable[[Chat, str], str]
_CLEAR = '""'
_KEYS = """\
Enter sends, Esc Enter or a backslash at the end begins a new line.
Ctrl-C stops an answer; at an empty prompt, Ctrl-C twice or Ctrl-D quits.
A space before the slash sends the line to the model."""


def obey(line: str, chat: Chat) -> str:
    """Carry out a line that begins with a slash and return what to show; UsageError for an unknown command."""
    first, *rest = line.split(maxsplit=1)
    name = first[1:]
    if name not in _COMMANDS:
        close = get_close_matches(name, _COMMANDS, n=1)
        hint = f"Did you mean /{close[0]}?" if close else "/help lists the commands."
        raise UsageError(f"there is no command /{name}", f"{hint} To send it as text, put a space before it.")
    return _COMMANDS[name].action(chat, rest[0].strip() if rest else "")


def _help(_chat: Chat, _words: str) -> str:
    width = max(len(command.usage) for command in _COMMANDS.values())
    listed = [f"{command.usage:<{width}}  {command.meaning}" for command in _COMMANDS.values()]
    return "\n".join([*listed, _KEYS])


def _tools(chat: Chat, _words: str) -> str:
    specs = chat.session.tools.specs
    return "\n".join([_tool_line(spec) for spec in specs]) or tool_count_words(0)


def _tool_line(spec: ToolSpec) -> str:
    properties = spec.parameters.get("properties")
    names = ", ".join(properties) if isinstance(properties, dict) else ""
    return printable(f"{spec.name}({names})" + (f": {spec.description}" if spec.description else ""))


def _system(chat: Chat, words: str) -> str:
    if words:
        chat.session.system = "" if words == _CLEAR else words
    return f"system: {printable(chat.session.system)}" if chat.session.system else "there is no system text"


def _save(chat: Chat, words: str) -> str:
    session = chat.session
    conversation = Conversation(chat.model_name, session.dialect.NAME, session.system, tuple(session.messages))
    path = _file_named(words, "/save FILE")
    conversation_file.save(path, conversation)
    return f"saved {len(session.messages)} messages in {path}"


def _load(chat: Chat, words: str) -> str:
    path = _file_named(words, "/load FILE")
    conversation = conversation_file.load(path)
    chat.session.system = conversation.system
    chat.session.messages[:] = conversation.messages
    chat.session.hidden_messages = 0
    chat.turns.clear()
    return f"loaded {len(conversation.messages)} messages from {path}; they take the place of this conversation"


def _file_named(words: str, usage: str) -> Path:
    if not words:
        raise UsageError("the file's name is missing", f"Write {usage}.")
    return Path(words).expanduser()


def _reset(chat: Chat, _words: str) -> str:
    chat.session.reset()
    chat.turns.clear()
    return "the conversation is empty again; system text and tools stay"


def _stats(chat: Chat, _words: str) -> str:
    if not chat.turns:
        return "nothing was answered yet"
    last = chat.turns[-1].timings
    context = chat.session.desk.info.context_tokens
    generated = sum(done.timings.generated_tokens for done in chat.turns)
    took_s = sum(done.timings.total_s for done in chat.turns)
    hidden = chat.session.hidden_messages
    left_out = f", the first {hidden} messages left out" if hidden else ""
    return (
        f"last turn: {timing_words(last)}\n"
        f"context: {last.prompt_tokens} of {context} tokens in its last prompt{left_out}\n"
        f"all {len(chat.turns)} turns: {generated} tokens written, {took_s:.2f} s"
    )


def _quit(chat: Chat, _words: str) -> str:
    chat.finished = True
    return "bye"


@dataclass(frozen=True, slots=True)
class _Command:
    usage: str
    meaning: str
    action: Action


_COMMANDS = {
    "help": _Command("/help", "show this", _help),
    "tools": _Command("/tools", "show the functions that the model may call", _tools),
    "system": _Command("/system [TEXT]", f"show or set the standing instructions; {_CLEAR} clears them", _system),
    "save": _Command("/save FILE", "write the conversation to a file", _save),
    "load": _Command("/load FILE", "go on with a saved conversation", _load),
    "reset": _Command("/reset", "forget the conversation", _reset),
    "stats": _Command("/stats", "show what the turns cost", _stats),
    "quit": _Command("/quit", "end the chat", _quit),
}
