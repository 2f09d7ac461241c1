"""Where the user writes: Enter sends, Shift+Enter begins a line, and the one button sends or stops."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QIcon, QKeyEvent, QPainter, QPixmap, QPolygonF
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QSizePolicy

_MAX_LINES = 6
_ICON_PIXELS = 14


class Composer(QFrame):
    """A text field that grows with its text, and a button."""

    sent = Signal(str)
    stopped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("composer")
        self._busy = False
        self._enabled = False
        self._field = _Field()
        self._field.setPlaceholderText("Ask for a hotel, a restaurant, a train...")
        self._field.setAccessibleName("Message")
        self._field.textChanged.connect(self._changed)
        self._field.entered.connect(self._enter)
        self._field.installEventFilter(self)
        self._button = QPushButton()
        self._button.setProperty("kind", "round")
        self._button.setIconSize(QSize(_ICON_PIXELS, _ICON_PIXELS))
        self._button.clicked.connect(self._press)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 5, 7, 5)
        row.addWidget(self._field, 1)
        row.addWidget(self._button, 0, Qt.AlignmentFlag.AlignBottom)
        self.setFocusProxy(self._field)
        self._changed()
        self._show_button()

    def set_enabled(self, enabled: bool) -> None:
        """Whether something can be sent at all."""
        self._enabled = enabled
        self._show_button()

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is being written, which the button then stops."""
        self._busy = busy
        self._show_button()

    def put(self, text: str) -> None:
        """Write this text into the field, for the user to change."""
        self._field.setPlainText(text)
        self._field.moveCursor(self._field.textCursor().MoveOperation.End)
        self._field.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The frame shows where the keyboard is."""
        if isinstance(event, QFocusEvent):
            self.setProperty("focused", event.type() == QEvent.Type.FocusIn)
            self.style().unpolish(self)
            self.style().polish(self)
        return super().eventFilter(watched, event)

    def _enter(self) -> None:
        if not self._busy:
            self._send()

    def _press(self) -> None:
        if self._busy:
            self.stopped.emit()
        else:
            self._send()
        self._field.setFocus()

    def _send(self) -> None:
        text = self._field.toPlainText().strip()
        if text and self._enabled:
            self._field.clear()
            self.sent.emit(text)

    def _changed(self) -> None:
        lines = min(_MAX_LINES, max(1, int(self._field.document().size().height())))
        margins = 2 * int(self._field.document().documentMargin()) + 2
        self._field.setFixedHeight(lines * self._field.fontMetrics().lineSpacing() + margins)
        self._show_button()

    def _show_button(self) -> None:
        has_text = bool(self._field.toPlainText().strip())
        self._button.setEnabled(self._busy or (self._enabled and has_text))
        self._button.setIcon(_icon(stop=self._busy))
        self._button.setAccessibleName("Stop" if self._busy else "Send")
        self._button.setToolTip("Stop (Esc)" if self._busy else "Send (Enter)")


class _Field(QPlainTextEdit):
    """A text field in which Enter is no line break."""

    entered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.entered.emit()
        else:
            super().keyPressEvent(event)


def _icon(*, stop: bool) -> QIcon:
    """A white square, or an arrow upwards."""
    side = 4 * _ICON_PIXELS  # sharp on screens of four times the usual density
    image = QPixmap(side, side)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("white"))
    if stop:
        painter.drawRoundedRect(side // 8, side // 8, side * 3 // 4, side * 3 // 4, side / 10, side / 10)
    else:
        corners = ((0.5, 0.04), (0.94, 0.5), (0.62, 0.5), (0.62, 0.96), (0.38, 0.96), (0.38, 0.5), (0.06, 0.5))
        painter.drawPolygon(QPolygonF([QPointF(x * side, y * side) for x, y in corners]))
    painter.end()
    return QIcon(image)
