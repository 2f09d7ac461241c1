"""The interactive conversation, whatever it is shown on: read, send or obey a slash command, show.

`Screen` is what a terminal and plain lines have in common. Errors of a turn are shown and the conversation goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Literal, Protocol, TypeAlias

from coalm_lite.cli import slash
from coalm_lite.cli.chat_lines import checked_text
from coalm_lite.cli.slash import Chat
from coalm_lite.cli.turn import turn
from coalm_lite.cli.wording import call_words, end_words, error_words, result_words, timing_words, trimmed_words
from coalm_lite.errors import CoalmError, ContextFullError
from coalm_lite.types import CallStarted, Event, Observation, TextDelta, ToolCall, Trimmed, TurnDone

Answer: TypeAlias = Literal["once", "no", "always"]
ANSWERS: dict[str, Answer] = {"y": "once", "yes": "once", "n": "no", "no": "no", "a": "always", "always": "always"}
_FULL_HINT = "In this chat, /reset starts over; /save FILE keeps what was said."


class Screen(Protocol):
    """Where a conversation is read from and shown. All texts are fit for a terminal, except those of `text`."""

    def read(self) -> str:
        """The user's next request, perhaps of several lines; EOFError at the end."""
        ...

    def ask(self, question: str) -> Answer:
        """The user's answer to whether a call may run; KeyboardInterrupt stops the turn."""
        ...

    def text(self, delta: str) -> None:
        """Show the next piece of the answer, as the model wrote it."""
        ...

    def end_text(self) -> None:
        """The answer so far is all; nothing when there is none."""
        ...

    def step(self, label: str, words: str) -> None:
        """Show a call or its result."""
        ...

    def note(self, words: str) -> None:
        """Tell something that is neither the model's words nor an error."""
        ...

    def error(self, words: str) -> None:
        """Tell an error."""
        ...


class Permission:
    """Asks before each call; a tool that is always allowed is not asked about again. An `approve` for a session."""

    def __init__(self, ask: Callable[[ToolCall], Answer]) -> None:
        self._ask = ask
        self._always: set[str] = set()

    def __call__(self, call: ToolCall) -> bool:
        if call.name in self._always:
            return True
        answer = self._ask(call)
        if answer == "always":
            self._always.add(call.name)
        return answer != "no"


class ChatLoop:
    """Runs a conversation on a screen until the user ends it."""

    def __init__(self, screen: Screen, *, timings: bool = False) -> None:
        self._screen = screen
        self._timings = timings
        self._shown_call: ToolCall | None = None
        self._shown_text = False

    def ask(self, call: ToolCall) -> Answer:
        """Show a call and ask whether it may run: for `Permission`."""
        self._show_call(call)
        return self._screen.ask(f"Run {call.name}? yes once, no, always in this chat")

    def run(self, chat: Chat) -> None:
        """Read and answer until the end."""
        while not chat.finished:
            try:
                line = self._screen.read()
            except EOFError:
                return
            if line.strip():
                self._obey(chat, line)

    def _obey(self, chat: Chat, line: str) -> None:
        try:
            if line.startswith("/"):
                self._screen.note(slash.obey(line, chat))
            else:
                self._turn(chat, checked_text(line))
        except CoalmError as error:
            hint = f"{error.hint}\n{_FULL_HINT}" if isinstance(error, ContextFullError) else error.hint
            self._screen.error(error_words(error.message, hint))

    def _turn(self, chat: Chat, text: str) -> None:
        try:
            self.answer(chat, text)
        except KeyboardInterrupt:
            self._screen.note("stopped")

    def answer(self, chat: Chat, text: str) -> None:
        """Show one turn; raises the session's errors, and KeyboardInterrupt when a tool or a question was left."""
        self._shown_call, self._shown_text = None, False
        try:
            with closing(turn(chat.session, text)) as events:
                for event in events:
                    self._show(event, chat)
        finally:
            self._screen.end_text()

    def _show(self, event: Event, chat: Chat) -> None:
        match event:
            case TextDelta(text):
                self._shown_text = True
                self._screen.text(text)
            case CallStarted(call):
                self._show_call(call)
            case Observation(call):
                self._show_call(call)
                self._screen.step("result" if event.ok else "failed", result_words(event))
                self._shown_call = None
            case Trimmed(messages):
                self._screen.note(trimmed_words(messages))
            case TurnDone():
                self._end(event, chat)

    def _show_call(self, call: ToolCall) -> None:
        """Show a call, unless it is the one that was shown when it was asked about or started."""
        if call is not self._shown_call:
            self._screen.end_text()
            self._screen.step("call", call_words(call))
            self._shown_call = call

    def _end(self, done: TurnDone, chat: Chat) -> None:
        chat.turns.append(done)
        if done.text and not self._shown_text:
            self._screen.text(done.text)
        self._screen.end_text()
        ending = end_words(chat.session, done.reason)
        for words in [ending, timing_words(done.timings)] if self._timings else [ending]:
            if words:
                self._screen.note(words)
