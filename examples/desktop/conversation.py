"""The conversation's view: bubbles, cards, notices in their order; it follows its end unless the user scrolled up."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from bubbles import Bubble, Note
from cards import CallCard
from coalm_lite import Observation, ToolCall
from talk import Question

_FLUSH_MS = 16  # a frame: a fast model writes many pieces in one
_MARGIN = 18


class Conversation(QScrollArea):
    """What was said and called so far."""

    def __init__(self, suggestions: tuple[str, ...], say: Callable[[str], None]) -> None:
        super().__init__()
        self.setObjectName("talk")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        self._column.setSpacing(10)
        self._column.addStretch(1)
        self.setWidget(inner)
        self._welcome: QWidget | None = _welcome(suggestions, say)
        self._column.addWidget(self._welcome)
        self._answer: Bubble | None = None
        self._card: CallCard | None = None
        self._pending = ""
        self._at_end = True
        self._flush = QTimer(self)
        self._flush.setSingleShot(True)
        self._flush.setInterval(_FLUSH_MS)
        self._flush.timeout.connect(self.show_pending)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._grew)

    def warm_up(self, text: str) -> None:
        """Measure words once before anybody waits: the first time takes Qt ten milliseconds and more."""
        bubble = self._add_bubble(text, mine=True)
        bubble.sizeHint()
        self._column.removeWidget(bubble)
        bubble.deleteLater()

    def add_mine(self, text: str) -> None:
        """The user said this."""
        self._drop_welcome()
        self._at_end = True
        self._add_bubble(text, mine=True)

    def add_text(self, text: str) -> None:
        """The model's next words; shown with those of the same frame."""
        self._pending += text
        if not self._flush.isActive():
            self._flush.start()

    def show_pending(self) -> None:
        """Show the words that wait for the next frame."""
        text, self._pending = self._pending, ""
        if text and self._answer is None:
            self._answer = self._add_bubble(text, mine=False)
        elif text and self._answer is not None:
            self._answer.set_text(self._answer.text + text)

    def ask(self, question: Question) -> None:
        """Show the call with its buttons."""
        self._add_card(CallCard(question.call, question)).take_focus()

    def call_started(self, call: ToolCall) -> None:
        """The call runs; it may be the one that was asked about."""
        if self._card is not None and self._card.call == call:
            self._card.run()
        else:
            self._add_card(CallCard(call))

    def observed(self, observation: Observation) -> None:
        """What came of the call."""
        card = self._card
        if card is None or card.call != observation.call:
            card = self._add_card(CallCard(observation.call))
        card.finish(observation)
        self._card = None

    def end_turn(self, note: str) -> None:
        """The turn is over; `note` says what is unusual about it."""
        self.show_pending()
        self._answer = None
        if self._card is not None:
            self._card.abandon()
            self._card = None
        if note:
            self.add(Note(note))

    def add(self, widget: QWidget) -> None:
        """Put a widget at the end."""
        self.show_pending()
        self._column.addWidget(widget)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give bubbles and cards their room."""
        super().resizeEvent(event)
        for bubble in self.findChildren(Bubble):
            bubble.fit(self._room())
        for card in self.findChildren(CallCard):
            card.fit(self._room())

    def _room(self) -> int:
        return self.viewport().width() - 2 * _MARGIN

    def _add_bubble(self, text: str, *, mine: bool) -> Bubble:
        bubble = Bubble(text, mine=mine)
        self._column.addWidget(bubble)
        bubble.fit(self._room())  # only now that it has the window's font
        return bubble

    def _add_card(self, card: CallCard) -> CallCard:
        self.show_pending()
        self._answer = None
        self._card = card
        card.fit(self._room())
        self._column.addWidget(card)
        return card

    def _drop_welcome(self) -> None:
        if self._welcome is not None:
            self._welcome.hide()
            self._welcome.deleteLater()
            self._welcome = None

    def _scrolled(self, value: int) -> None:
        self._at_end = value >= self.verticalScrollBar().maximum() - 4

    def _grew(self, _minimum: int, maximum: int) -> None:
        if self._at_end:
            self.verticalScrollBar().setValue(maximum)
            self._at_end = True


def _welcome(suggestions: tuple[str, ...], say: Callable[[str], None]) -> QWidget:
    """What stands there before anything was said."""
    widget = QWidget()
    column = QVBoxLayout(widget)
    column.setSpacing(8)
    title = QLabel("What can I do for you in Marlowick?")
    title.setObjectName("title")
    hint = QLabel("Everything runs on this machine. Bookings are asked about before they are made.")
    hint.setProperty("kind", "dim")
    hint.setWordWrap(True)
    column.addWidget(title)
    column.addWidget(hint)
    column.addSpacing(6)
    for text in suggestions:
        button = QPushButton(text)
        button.setProperty("kind", "suggestion")
        button.clicked.connect(lambda _checked, said=text: say(said))
        column.addWidget(button, alignment=Qt.AlignmentFlag.AlignLeft)
    return widget
