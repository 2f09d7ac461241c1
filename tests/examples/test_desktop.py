"""The example desktop app without a screen (Qt's `offscreen`): turns, approval, stop, a killed engine, the end.

Needs PySide6, which no extra of coalm-lite brings: `pip install -r examples/desktop/requirements.txt`. The engine is
coalm-nano, in a process of its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from coalm_lite.models import shipped_model_path

pytest.importorskip("PySide6")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
EXAMPLE = Path(__file__).parents[2] / "examples" / "desktop"
HOTEL, BOOK = "a cheap hotel in the north with parking", "book it for 2 people and 3 nights from Tuesday"
LIMIT_S = 60


@pytest.fixture(scope="module")
def qt() -> Iterator[Any]:
    """The one application that a process may have, and the example's folder among the modules."""
    sys.path.insert(0, str(EXAMPLE))
    from PySide6.QtWidgets import QApplication

    yield QApplication.instance() or QApplication([])
    sys.path.remove(str(EXAMPLE))


class User:
    """Drives a window by its widgets, and turns the event loop meanwhile."""

    def __init__(self, app: Any, window: Any) -> None:
        self.app, self.window, self.gone = app, window, False
        window.gone.connect(self._ended)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < end, self.words()
            self.app.processEvents()
            time.sleep(0.002)

    def say(self, text: str) -> None:
        from composer import Composer

        self.until(lambda: self.status() not in ("Opening the model...", "Answering..."))
        self.window.findChild(Composer).sent.emit(text)

    def press(self, name: str) -> None:
        """Press the enabled button of this accessible name or text."""
        self.until(lambda: bool(self._buttons(name)))
        self._buttons(name)[-1].click()

    def words(self) -> list[str]:
        """What the conversation shows, label by label."""
        from PySide6.QtWidgets import QLabel

        from conversation import Conversation

        return [label.text() for label in self.window.findChild(Conversation).findChildren(QLabel)]

    def shows(self, text: str) -> bool:
        return any(text in words for words in self.words())

    def status(self) -> str:
        from PySide6.QtWidgets import QLabel

        return str(self.window.findChild(QLabel, "status").text())

    def _buttons(self, name: str) -> list[Any]:
        from PySide6.QtWidgets import QPushButton

        buttons = self.window.findChildren(QPushButton)
        return [each for each in buttons if each.isEnabled() and name in (each.accessibleName(), each.text())]

    def _ended(self) -> None:
        self.gone = True


@pytest.fixture
def user(qt: Any, tmp_path: Path) -> Iterator[User]:
    from talk import Settings
    from window import MainWindow

    window = MainWindow(Settings(database=tmp_path / "town.sqlite3"), "nano")
    window.show()
    driven = User(qt, window)
    yield driven
    window.close()
    driven.until(lambda: driven.gone)
    assert not psutil.Process().children()


def test_a_hotel_is_booked_when_the_call_is_approved(user: User) -> None:
    user.say(HOTEL)
    user.until(lambda: user.shows("Juniper Lodge is a guest house"))
    user.say(BOOK)
    user.press("Approve Book hotel")
    user.until(lambda: user.shows("Your stay at Juniper Lodge is booked"))
    assert user.shows("reference ")


def test_a_denied_call_does_not_run(user: User, tmp_path: Path) -> None:
    user.say(HOTEL)
    user.until(lambda: user.shows("Shall I book it"))
    user.say(BOOK)
    user.press("Deny Book hotel")
    user.until(lambda: user.shows("not allowed"))
    user.until(lambda: "tokens in" in user.status())
    assert not user.shows("reference ")


def test_a_stop_answers_a_waiting_call_with_no(user: User) -> None:
    user.say(HOTEL)
    user.until(lambda: user.shows("Shall I book it"))
    user.say(BOOK)
    user.until(lambda: user.status() == "Waiting for you")
    user.press("Stop")
    user.until(lambda: user.shows("Stopped."))
    user.say(HOTEL)
    user.until(lambda: user.words().count("Find hotels") == 2)


def test_after_the_engine_was_killed_the_turn_can_be_sent_again(user: User) -> None:
    user.say(HOTEL)
    user.until(lambda: user.shows("Shall I book it"))
    for child in psutil.Process().children():
        child.kill()
    user.say(BOOK)
    user.until(lambda: user.shows("The conversation is kept"))
    user.press("Send it again")
    user.press("Approve Book hotel")
    user.until(lambda: user.shows("Your stay at Juniper Lodge is booked"))


def test_another_model_goes_on_with_the_conversation(user: User) -> None:
    user.say(HOTEL)
    user.until(lambda: user.shows("Shall I book it"))
    user.until(lambda: "tokens in" in user.status())
    user.window._open(str(shipped_model_path("coalm-nano.Q8_0.gguf")))  # as the picker does
    user.say(BOOK)
    user.press("Approve Book hotel")
    user.until(lambda: user.shows("Your stay at Juniper Lodge is booked"))


def test_closing_the_window_while_a_call_waits_is_clean(user: User) -> None:
    user.say(HOTEL)
    user.until(lambda: user.shows("Shall I book it"))
    user.say(BOOK)
    user.until(lambda: user.status() == "Waiting for you")  # the fixture closes it


def test_a_model_that_is_not_there_says_so_and_another_can_be_chosen(qt: Any) -> None:
    from talk import Settings
    from window import MainWindow

    window = MainWindow(Settings(), "8b-q9")
    driven = User(qt, window)
    driven.until(lambda: driven.shows("8b-q9"))
    assert driven.status() == "No model is open"
    assert driven._buttons("Choose another model")
    driven.press(HOTEL)  # a suggestion
    assert driven.status() == "No model is open"
    window.close()
    driven.until(lambda: driven.gone)


def test_a_result_is_summed_up_without_what_the_call_said(qt: Any) -> None:
    from cards import summary_of
    from coalm_lite import ToolCall

    call = ToolCall("book_hotel", {"name": "Juniper Lodge", "people": 2})
    assert summary_of('{"reference": "X", "name": "Juniper Lodge", "people": 2}', call) == "reference X"
    assert summary_of('{"count": 1, "hotels": [{"name": "A"}]}', call) == "A"
    assert summary_of('{"count": 9, "hotels": [{"name": "A"}]}', call) == "count 9 · A"
    assert summary_of('{"count": 0, "hotels": []}', call) == "no hotels"
    assert summary_of("no JSON", call) == "no JSON"


def test_qt_costs_no_reference_to_none(qt: Any) -> None:
    """PySide6 6.12.0 on Python 3.11 loses one with each call, and the process aborts when they are used up."""
    from PySide6.QtWidgets import QLabel

    label = QLabel()
    before = sys.getrefcount(None)
    for _ in range(1000):
        label.setText("")
    assert sys.getrefcount(None) > before - 500
