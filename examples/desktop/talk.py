"""The conversation, off the window's thread: opens models, runs turns, asks the window about calls.

A `Talk` lives on a thread of its own and is spoken to by signals; only `stop` is called from the window's thread
itself, and it waits for nothing. Each turn has a number, so that what arrives late can be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from PySide6.QtCore import QObject, Signal, Slot

from coalm_lite import Assistant, CoalmError, Sampling, Timings, ToolCall, TurnDone, demo

ASKED_ABOUT = "book_"  # calls that only look something up run unasked


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are opened."""

    isolate: bool = True
    max_tokens: int = 512
    database: Path | None = None
    tools: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """A call that waits until the window has set `answer`."""

    call: ToolCall
    answer: Future[bool] = field(default_factory=Future)

    def reply(self, allowed: bool) -> None:
        """Answer, unless that was done."""
        with suppress(InvalidStateError):
            self.answer.set_result(allowed)


class Talk(QObject):
    """One conversation with one model at a time. The signals that end in `_wanted` are for the window to emit."""

    open_wanted = Signal(str)
    send_wanted = Signal(int, str)
    close_wanted = Signal()

    opened = Signal(str)
    open_failed = Signal(str, object)  # the model's name, a CoalmError
    happened = Signal(int, object)  # a turn's number, an Event of coalm_lite
    asked = Signal(int, object)  # a turn's number, a Question
    turn_failed = Signal(int, object)  # a turn's number, a CoalmError
    closed = Signal()

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._assistant: Assistant | None = None
        self._question: Question | None = None
        self._turn = self._stopped = 0
        self._folder = TemporaryDirectory(prefix="coalm-desktop-")
        self._saved = Path(self._folder.name) / "conversation.json"
        self.open_wanted.connect(self._open)
        self.send_wanted.connect(self._send)
        self.close_wanted.connect(self._close)

    def stop(self, turn: int) -> None:
        """End this turn soon, whatever it is doing. For the window's thread."""
        self._stopped = turn
        question, assistant = self._question, self._assistant
        if assistant is not None and turn == self._turn:
            assistant.cancel()
        if question is not None:
            question.reply(False)

    @Slot(str)
    def _open(self, model: str) -> None:
        """Close the model that is open, and open this one to go on with the conversation."""
        if self._assistant is not None:
            self._assistant.save(self._saved)
        self._free()
        try:
            self._assistant = self._assistant_of(model)
            if self._saved.is_file():
                self._assistant.load(self._saved)
        except Exception as error:  # whatever went wrong, the window must not wait for ever
            self._free()
            self.open_failed.emit(model, told(error))
        else:
            self.opened.emit(model)

    def _assistant_of(self, model: str) -> Assistant:
        tools: Sequence[Callable[..., object]] = demo.tools(self._settings.database) if self._settings.tools else ()
        return Assistant(
            model,
            tools=tools,
            isolate=self._settings.isolate,
            sampling=Sampling(max_tokens=self._settings.max_tokens),
            approve=self._approve,
        )

    @Slot(int, str)
    def _send(self, turn: int, text: str) -> None:
        assert self._assistant is not None  # the window sends nothing before `opened`
        self._turn = turn
        if self._stopped >= turn:  # stopped before it began
            self.happened.emit(turn, TurnDone("", "cancelled", Timings()))
            return
        try:
            for event in self._assistant.send(text):
                self.happened.emit(turn, event)
        except Exception as error:  # as above
            self.turn_failed.emit(turn, told(error))

    def _approve(self, call: ToolCall) -> bool:
        """Whether the call may run; waits for the window, on the thread of the assistant's turns."""
        if not call.name.startswith(ASKED_ABOUT):
            return True
        question = Question(call)
        self._question = question
        if self._stopped >= self._turn:
            return False
        self.asked.emit(self._turn, question)
        try:
            return question.answer.result()
        finally:
            self._question = None

    @Slot()
    def _close(self) -> None:
        self._free()
        self._folder.cleanup()
        self.closed.emit()

    def _free(self) -> None:
        if self._assistant is not None:
            self._assistant.close()
            self._assistant = None


def told(error: Exception) -> CoalmError:
    """The error in a form that the window can show."""
    if isinstance(error, CoalmError):
        return error
    return CoalmError(f"{type(error).__name__}: {error}", "This is a mistake in the app or in coalm-lite: report it.")
