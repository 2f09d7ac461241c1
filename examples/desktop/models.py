"""The model picker: what is on this machine can be used, what is in the catalog can be pulled, with progress."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from coalm_lite import CoalmError
from offers import Offer
from pulling import Listing, Pull

_OFFER = Qt.ItemDataRole.UserRole


class ModelDialog(QDialog):
    """A list of models, and one button that uses or pulls the selected one. Closing it stops a pull."""

    chosen = Signal(str)

    def __init__(self, current: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self.resize(520, 440)
        self._current = current
        self._wanted = current
        self._pull: Pull | None = None
        self._asks_licence = False
        self._greeting = "Pulled models lie in the Hugging Face cache, where other tools find them too."
        self._list = QListWidget()
        self._list.setAccessibleName("Models")
        self._list.setWordWrap(True)
        self._list.currentItemChanged.connect(self._show_buttons)
        self._list.itemActivated.connect(self._act)
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._bar = QProgressBar()
        self._bar.setRange(0, 1000)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Pull progress")
        self._main = QPushButton("Use")
        self._main.setProperty("kind", "main")
        self._main.clicked.connect(self._act)
        self._other = QPushButton("Close")
        self._other.clicked.connect(self._leave)
        self._lay_out()
        self._say("Looking for models...")
        self._listing = Listing()
        self._listing.found.connect(self._fill)
        self._listing.failed.connect(self._failed)
        self._listing.start()

    def reject(self) -> None:
        """Esc and the window's cross: a pull that runs is stopped, and keeps what came."""
        if self._pull:
            self._pull.stop()
        super().reject()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(10)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self._other)
        row.addWidget(self._main)
        for widget in (self._list, self._words, self._bar):
            column.addWidget(widget)
        column.addLayout(row)
        self._bar.hide()
        self._main.setEnabled(False)
        for button in (self._main, self._other):
            button.setAutoDefault(False)  # Enter is the list's: it uses or pulls the selected model

    def _fill(self, found: list[Offer]) -> None:
        """List the offers, with the wanted one selected."""
        self._list.clear()
        for offer in found:
            used = ", in use" if offer.name == self._current else ""
            item = QListWidgetItem(f"{offer.name}\n{offer.words}{used}")
            item.setData(_OFFER, offer)
            if not (offer.here or offer.fits):
                item.setForeground(self.palette().placeholderText())
            self._list.addItem(item)
            if offer.name == self._wanted:
                self._list.setCurrentItem(item)
        self._say(self._greeting)
        self._list.setFocus()
        self._show_buttons()

    def _offer(self) -> Offer | None:
        item = self._list.currentItem()
        offer = item.data(_OFFER) if item else None
        return offer if isinstance(offer, Offer) else None

    def _show_buttons(self) -> None:
        offer, pulling = self._offer(), self._pull is not None
        self._list.setEnabled(not pulling)
        self._other.setText("Cancel" if pulling else "Close")
        if self._asks_licence:
            self._main.setText("Accept and pull")
        else:
            self._main.setText("Use" if offer is None or offer.here else "Pull")
        usable = offer is not None and not (offer.here and offer.name == self._current)
        self._main.setEnabled(self._asks_licence or (usable and not pulling))

    def _act(self) -> None:
        """Use, pull, or accept the licence."""
        offer = self._offer()
        if self._asks_licence and self._pull:
            self._asks_licence = False
            self._main.setDefault(False)
            self._pull.answer(True)
            self._show_buttons()
        elif offer is not None and self._pull is None and self._main.isEnabled():
            if offer.here:
                self.chosen.emit(offer.name)
                self.accept()
            else:
                self._start(offer.name)

    def _leave(self) -> None:
        if self._pull:
            self._say("Stopping...")
            self._pull.stop()
        else:
            self.reject()

    def _start(self, name: str) -> None:
        self._wanted = name
        self._pull = Pull(name)
        self._pull.planned.connect(self._say)
        self._pull.told.connect(self._say)
        self._pull.licence_asked.connect(self._ask_licence)
        self._pull.progressed.connect(self._progressed)
        self._pull.done.connect(self._done)
        self._pull.failed.connect(self._failed)
        self._pull.stopped.connect(self._stopped)
        self._say(f"Asking the Hub for {name}...")
        self._show_buttons()
        self._pull.start()

    def _ask_licence(self, licence: str) -> None:
        self._asks_licence = True
        self._main.setDefault(True)
        self._say(f"The licence allows no commercial use: {licence}")
        self._show_buttons()
        self._main.setFocus()

    def _progressed(self, thousandths: int, words: str) -> None:
        self._bar.show()
        self._bar.setValue(thousandths)
        self._say(words)

    def _done(self, name: str) -> None:
        self._end()
        self._wanted = name
        self._greeting = f"{name} is ready."
        self._listing.start()

    def _failed(self, error: CoalmError) -> None:
        self._end()
        self._say(f"{error.message}\n{error.hint}".strip(), "problem")

    def _stopped(self) -> None:
        self._end()
        self._say("Stopped; the next pull goes on where this one was.")

    def _say(self, text: str, kind: str = "dim") -> None:
        self._words.setText(text)
        self._words.setProperty("kind", kind)
        self._words.style().unpolish(self._words)
        self._words.style().polish(self._words)

    def _end(self) -> None:
        self._bar.hide()
        self._bar.setValue(0)
        self._pull = None
        self._asks_licence = False
        self._main.setDefault(False)
        self._show_buttons()
