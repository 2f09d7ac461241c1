"""The main window: the conversation, the composer and the model's button. Nothing here waits for a model."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, Qt, QThread, Signal
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence, QPaintEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QMainWindow, QPushButton, QVBoxLayout, QWidget

from bubbles import Note, Notice
from coalm_lite import CallStarted, CoalmError, EngineCrashed, Event, Observation, TextDelta, Trimmed, TurnDone
from composer import Composer
from conversation import Conversation
from gaps import GapMeter
from models import ModelDialog
from style import colours, sheet
from talk import Question, Settings, Talk

SUGGESTIONS = (
    "a cheap hotel in the north with parking",
    "an Indian restaurant in the centre for 4 on Friday at 19:00",
    "a train to Quillhaven on Saturday after 09:00",
)
_REASONS = {
    "stop": "",
    "cancelled": "Stopped.",
    "length": "The answer reached its limit of tokens.",
    "steps": "The model called functions without coming to an answer.",
}


class MainWindow(QMainWindow):
    """One conversation; closing it in mid-answer stops the answer, and the app ends once the engine is gone."""

    gone = Signal()

    def __init__(self, settings: Settings, model: str, meter: GapMeter | None = None) -> None:
        super().__init__()
        self.setWindowTitle("coalm-lite")
        self.resize(760, 720)
        self.setMinimumSize(320, 360)
        self._meter = meter
        self._model = ""
        self._turn = 0
        self._ready = self._busy = self._writing = self._closing = self._painted = False
        self._said = ""
        self._conversation = Conversation(SUGGESTIONS, self._send)
        self._composer = Composer()
        self._composer.sent.connect(self._send)
        self._composer.stopped.connect(self._stop)
        self._models = QPushButton("...")
        self._models.setAccessibleName("Choose a model")
        self._models.clicked.connect(self._choose_model)
        self._status = QLabel()
        self._status.setObjectName("status")
        self._status.setAccessibleName("Status")
        self._lay_out()
        self._add_keys()
        self._talk, self._thread = self._start(settings)
        self._open(model)
        self._composer.setFocus()

    def changeEvent(self, event: QEvent) -> None:
        """Take the new colours when the system goes dark or light."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._dress()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            self._mark("window")
            if self._meter:
                self._meter.start()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop what is going on; the window goes at once, the app when the engine is gone."""
        if not self._closing:
            self._closing = True
            self._talk.stop(self._turn)
            self._talk.close_wanted.emit()
        event.accept()

    def _dress(self) -> None:
        dressed = sheet(colours(QApplication.palette()))
        if self.styleSheet() != dressed:
            self.setStyleSheet(dressed)

    def _lay_out(self) -> None:
        header = QFrame()
        header.setObjectName("header")
        row = QHBoxLayout(header)
        row.setContentsMargins(18, 10, 14, 10)
        title = QLabel("Marlowick town guide")
        title.setObjectName("title")
        names = QVBoxLayout()
        names.setSpacing(1)
        names.addWidget(title)
        names.addWidget(self._status)
        row.addLayout(names, 1)
        row.addWidget(self._models)
        foot = QHBoxLayout()
        foot.setContentsMargins(14, 4, 14, 14)
        foot.addWidget(self._composer)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(header)
        column.addWidget(self._conversation, 1)
        column.addLayout(foot)
        self.setCentralWidget(inner)
        self._dress()
        self._conversation.warm_up(SUGGESTIONS[0])

    def _add_keys(self) -> None:
        for key, act in (("Esc", self._stop), ("Ctrl+M", self._choose_model), ("Ctrl+Q", self.close)):
            action = QAction(self)
            action.setShortcut(QKeySequence(key))
            action.triggered.connect(act)
            self.addAction(action)

    def _start(self, settings: Settings) -> tuple[Talk, QThread]:
        """The talk on its thread, and its words connected to the view."""
        thread = QThread(self)
        talk = Talk(settings)
        talk.moveToThread(thread)
        talk.opened.connect(self._opened)
        talk.open_failed.connect(self._open_failed)
        talk.happened.connect(self._happened)
        talk.asked.connect(self._asked)
        talk.turn_failed.connect(self._turn_failed)
        talk.closed.connect(thread.quit)
        thread.finished.connect(self.gone)
        thread.start()
        return talk, thread

    def _open(self, model: str) -> None:
        self._model = model
        self._doing("opening the model")
        self._set_ready(False)
        self._models.setText(Path(model).name)
        self._models.setToolTip(f"{model} (Ctrl+M)")
        self._status.setText("Opening the model...")
        self._talk.open_wanted.emit(model)

    def _opened(self, model: str) -> None:
        self._mark("ready")
        self._doing("idle")
        self._status.setText("Ready, on this machine alone")
        self._set_ready(True)

    def _open_failed(self, model: str, error: CoalmError) -> None:
        self._doing("idle")
        self._status.setText("No model is open")
        ways = {"Try again": lambda: self._open(model), "Choose another model": self._choose_model}
        self._conversation.add(notice := Notice(_sentence(error.message), error.hint, ways))
        notice.take_focus()

    def _send(self, text: str) -> None:
        if self._busy:
            return
        if not self._ready:
            self._composer.put(text)  # for when a model is open
            return
        self._turn += 1
        self._said = text
        self._conversation.add_mine(text)
        self._set_busy(True)
        self._mark(f"sent {self._turn}")
        self._talk.send_wanted.emit(self._turn, text)

    def _stop(self) -> None:
        if self._busy:
            self._mark(f"stop pressed {self._turn}")
            self._status.setText("Stopping...")
            self._talk.stop(self._turn)

    def _happened(self, turn: int, event: Event) -> None:
        """Show an event of the turn."""
        if turn != self._turn or self._closing:
            return
        match event:
            case TextDelta(text=text):
                if not self._writing:
                    self._writing = True
                    self._mark(f"words {turn}")
                self._conversation.add_text(text)
            case CallStarted(call=call):
                self._conversation.call_started(call)
            case Observation():
                self._conversation.observed(event)
            case Trimmed(messages=count):
                self._conversation.add(Note(f"The context is full: the first {count} messages are out of sight."))
            case TurnDone():
                self._done(event)

    def _asked(self, turn: int, question: Question) -> None:
        if turn != self._turn or self._closing:
            question.reply(False)
            return
        self._mark(f"asked {turn}")
        self._status.setText("Waiting for you")
        self._conversation.ask(question)

    def _done(self, done: TurnDone) -> None:
        self._mark(f"{done.reason} {self._turn}")
        self._conversation.end_turn(_REASONS[done.reason])
        self._set_busy(False)
        cost = done.timings
        if cost.generated_tokens:
            self._status.setText(
                f"{cost.generated_tokens} tokens in {cost.total_s:.1f} s, the first after {cost.ttft_s * 1e3:.0f} ms"
            )

    def _turn_failed(self, turn: int, error: CoalmError) -> None:
        if turn != self._turn or self._closing:
            return
        self._mark(f"failed {turn}")
        self._conversation.end_turn("")
        self._set_busy(False)
        self._status.setText("The last turn did not work")
        said = self._said
        ways = {"Send it again": lambda: self._send(said), "Change it": lambda: self._composer.put(said)}
        hint = f"The conversation is kept. {error.hint}" if isinstance(error, EngineCrashed) else error.hint
        self._conversation.add(notice := Notice(_sentence(error.message), hint, ways))
        notice.take_focus()

    def _set_ready(self, ready: bool) -> None:
        self._ready = ready
        self._composer.set_enabled(ready)

    def _set_busy(self, busy: bool) -> None:
        self._busy, self._writing = busy, False
        self._doing("answering" if busy else "idle")
        self._composer.set_busy(busy)
        self._models.setEnabled(not busy)
        self._status.setText("Answering..." if busy else "Ready, on this machine alone")
        if not busy:
            self._composer.setFocus()

    def _choose_model(self) -> None:
        if self._busy:
            return
        self._doing("choosing a model")
        dialog = ModelDialog(self._model, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(self._open)
        dialog.open()

    def _mark(self, name: str) -> None:
        if self._meter:
            self._meter.mark(name)

    def _doing(self, name: str) -> None:
        if self._meter:
            self._meter.doing = name


def _sentence(message: str) -> str:
    """A message as a sentence; the library's begin like a line of a log."""
    return message[:1].upper() + message[1:]
