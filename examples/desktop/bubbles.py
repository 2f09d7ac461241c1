"""What is said, in bubbles as wide as their words and never wider than most of the window; notices with a way out."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

_WIDEST_SHARE = 0.8
_WIDEST_PIXELS = 620
_PADDING = 40  # what the style sheet puts around the words, and a little: a label breaks lines by its own estimate


class Bubble(QWidget):
    """One side's words; `fit` says how much room there is."""

    def __init__(self, text: str, *, mine: bool) -> None:
        super().__init__()
        self._room = _WIDEST_PIXELS
        self._label = QLabel()
        self._label.setProperty("kind", "user" if mine else "answer")
        self._label.setTextFormat(Qt.TextFormat.PlainText)  # a model's words are never markup
        self._label.setWordWrap(True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._label.setAccessibleName("You" if mine else "Assistant")
        self._label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Minimum)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._label)
        row.insertStretch(0 if mine else 1, 1)
        self.set_text(text)

    @property
    def text(self) -> str:
        """The words."""
        return self._label.text()

    def set_text(self, text: str) -> None:
        """Show these words."""
        self._label.setText(text)
        self._label.setAccessibleDescription(text)
        self._set_width()

    def fit(self, width: int) -> None:
        """Take part of this many pixels."""
        self._room = min(_WIDEST_PIXELS, round(width * _WIDEST_SHARE))
        self._set_width()

    def _set_width(self) -> None:
        self._label.ensurePolished()  # the style sheet's font decides
        words = self._label.fontMetrics().size(0, self._label.text()).width() + _PADDING
        self._label.setFixedWidth(min(self._room, words))


class Note(QLabel):
    """A quiet line in the middle."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setProperty("kind", "dim")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)


class Notice(QFrame):
    """What went wrong, what to do, and buttons that do it."""

    def __init__(self, message: str, hint: str, ways_out: dict[str, Callable[[], None]]) -> None:
        super().__init__()
        self.setObjectName("notice")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        for text, kind in ((message, ""), (hint, "dim")):
            if text:
                label = QLabel(text)
                label.setProperty("kind", kind)
                label.setTextFormat(Qt.TextFormat.PlainText)
                label.setWordWrap(True)
                label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                column.addWidget(label)
        row = QHBoxLayout()
        for name, act in ways_out.items():
            button = QPushButton(name)
            button.setAutoDefault(True)  # Enter presses the one that has the keyboard
            button.clicked.connect(self._once(act))
            row.addWidget(button)
        row.addStretch(1)
        column.addLayout(row)
        self.setAccessibleName("Problem")
        self.setAccessibleDescription(f"{message} {hint}")

    def take_focus(self) -> None:
        """Put the keyboard on the first way out."""
        buttons = self.findChildren(QPushButton)
        if buttons:
            buttons[0].setFocus(Qt.FocusReason.OtherFocusReason)

    def _once(self, act: Callable[[], None]) -> Callable[[], None]:
        def clicked() -> None:
            for button in self.findChildren(QPushButton):
                button.setEnabled(False)
            act()

        return clicked
