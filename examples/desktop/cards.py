"""A function call as a card: its name and arguments, approve and deny where it is asked about, then what came of it."""

from __future__ import annotations

import json

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from coalm_lite import Observation, ToolCall
from talk import Question

_WIDEST_PIXELS = 460
_SHOWN_ENTRIES = 3
_SHOWN_FIELDS = 5
_STATES = {
    "asking": "may it run?",
    "running": "running...",
    "done": "done",
    "failed": "did not work",
    "denied": "not allowed",
    "stopped": "stopped",
}


class CallCard(QFrame):
    """A call; made for a `Question` it has buttons until that is answered."""

    def __init__(self, call: ToolCall, question: Question | None = None) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setFixedWidth(_WIDEST_PIXELS)
        self.call = call
        self._question = question
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(14, 11, 14, 11)
        self._column.setSpacing(7)
        self._state = QLabel()
        self._state.setObjectName("state")
        self._column.addLayout(self._heading())
        if call.arguments:
            self._column.addLayout(self._arguments())
        self._buttons = self._ask() if question else []
        self._show("asking" if question else "running")

    @property
    def waits(self) -> bool:
        """Whether the user has still to decide."""
        return bool(self._buttons)

    def run(self) -> None:
        """It was allowed, and runs."""
        self._drop_buttons()
        self._show("running")

    def finish(self, observation: Observation) -> None:
        """Show what came of it."""
        denied = self.property("state") == "denied"
        self._drop_buttons()
        if observation.ok:
            self._show("done")
        elif not denied:
            self._show("failed")
        if not denied:
            self._add_result(observation.text)

    def abandon(self) -> None:
        """The turn ended before the call did."""
        self._drop_buttons()
        if self.property("state") in ("asking", "running"):
            self._show("stopped")

    def fit(self, width: int) -> None:
        """Take no more than this many pixels."""
        self.setFixedWidth(min(_WIDEST_PIXELS, width))

    def take_focus(self) -> None:
        """Put the keyboard on the approve button."""
        if self._buttons:
            self._buttons[0].setFocus(Qt.FocusReason.OtherFocusReason)

    def _heading(self) -> QHBoxLayout:
        name = QLabel(words_of(self.call.name))
        name.setObjectName("callname")
        name.setToolTip(self.call.name)
        row = QHBoxLayout()
        row.addWidget(name, 1)
        row.addWidget(self._state)
        return row

    def _arguments(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for line, (key, value) in enumerate(self.call.arguments.items()):
            for place, (text, kind) in enumerate(((key, "key"), (value_words(value), "value"))):
                label = QLabel(text)
                label.setObjectName(kind)
                label.setTextFormat(Qt.TextFormat.PlainText)
                label.setWordWrap(kind == "value")
                grid.addWidget(label, line, place, Qt.AlignmentFlag.AlignTop)
        return grid

    def _ask(self) -> list[QPushButton]:
        row = QHBoxLayout()
        buttons = []
        for text, kind, allowed in (("&Approve", "approve", True), ("&Deny", "", False)):
            button = QPushButton(text)
            button.setProperty("kind", kind)
            button.setAccessibleName(f"{text.strip('&')} {words_of(self.call.name)}")
            button.setAutoDefault(True)  # Enter presses the one that has the keyboard
            button.clicked.connect(self._allow if allowed else self._deny)
            row.addWidget(button)
            buttons.append(button)
        row.addStretch(1)
        self._column.addLayout(row)
        return buttons

    def _allow(self) -> None:
        self._drop_buttons()
        self._show("running")
        if self._question:
            self._question.reply(True)

    def _deny(self) -> None:
        self._drop_buttons()
        self._show("denied")
        if self._question:
            self._question.reply(False)

    def _drop_buttons(self) -> None:
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []

    def _show(self, state: str) -> None:
        self._state.setText(_STATES[state])
        self.setProperty("state", state)
        self.setAccessibleName(f"Call {words_of(self.call.name)}: {_STATES[state]}")
        for widget in (self, self._state):
            self.style().unpolish(widget)
            self.style().polish(widget)

    def _add_result(self, text: str) -> None:
        summary = QLabel(summary_of(text, self.call))
        full = QLabel(pretty(text))
        for label in (summary, full):
            label.setObjectName("result")
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        full.hide()
        toggle = QPushButton("Show all")
        toggle.setProperty("kind", "link")
        toggle.setCheckable(True)
        toggle.toggled.connect(full.setVisible)
        toggle.toggled.connect(lambda shown: toggle.setText("Show less" if shown else "Show all"))
        for widget in (summary, toggle, full):
            self._column.addWidget(widget)


def words_of(name: str) -> str:
    """`book_hotel` as `Book hotel`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def value_words(value: object) -> str:
    """An argument's value as a user writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def summary_of(text: str, call: ToolCall) -> str:
    """A call's result in a line, without what the call itself said."""
    try:
        found = json.loads(text)
    except ValueError:
        return text[:200]
    if not isinstance(found, dict):
        return value_words(found)[:200]
    new = {key: value for key, value in found.items() if value is not None and call.arguments.get(key) != value}
    if any(isinstance(value, list) and len(value) == new.get("count") for value in new.values()):
        del new["count"]  # the list shows it
    return " · ".join(_part(key, value) for key, value in new.items())


def _part(key: str, value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(_entry_words(entry) for entry in value[:_SHOWN_ENTRIES])
        more = f" and {len(value) - _SHOWN_ENTRIES} more" if len(value) > _SHOWN_ENTRIES else ""
        return f"{shown}{more}" or f"no {key}"
    return f"{key} {value_words(value)}"


def _entry_words(entry: object) -> str:
    """An entry of a list by its name, or its first fields."""
    if not isinstance(entry, dict):
        return value_words(entry)
    return str(entry.get("name") or " ".join(value_words(value) for value in list(entry.values())[:_SHOWN_FIELDS]))


def pretty(text: str) -> str:
    """A call's result in full."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text
