from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from coalm_lite.cli.chat_loop import ChatLoop, Permission
from coalm_lite.cli.chat_screen import TerminalScreen, history_path
from coalm_lite.cli.slash import Chat
from coalm_lite.paths import state_dir
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox

ENTER, ESC_ENTER, CTRL_C, CTRL_D, UP = "\r", "\x1b\r", "\x03", "\x04", "\x1b[A"
PASTE = "\x1b[200~{}\x1b[201~"


class Keyboard:
    """A terminal screen on a pretended keyboard; what it shows is in `shown`."""

    def __init__(self, pipe: PipeInput, history: Path, **environment: str) -> None:
        self._file = io.StringIO()
        console = Console(file=self._file, force_terminal=True, width=60, highlight=False, _environ=environment)
        self._pipe = pipe
        self.screen = TerminalScreen(console, history, pipe, DummyOutput())

    def press(self, keys: str) -> None:
        self._pipe.send_text(keys)

    @property
    def shown(self) -> str:
        return self._file.getvalue()


@pytest.fixture
def pipe() -> Iterator[PipeInput]:
    with create_pipe_input() as created:
        yield created


@pytest.fixture
def keyboard(pipe: PipeInput, tmp_path: Path) -> Keyboard:
    return Keyboard(pipe, tmp_path / "new" / "history")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("hello" + ENTER, "hello"),
        ("one" + ESC_ENTER + "two" + ENTER, "one\ntwo"),
        ("one\\" + ENTER + "two" + ENTER, "one\ntwo"),
        ("a\\b" + ENTER, "a\\b"),
        (PASTE.format("one\ntwo") + ENTER, "one\ntwo"),
        ("wrong" + CTRL_C + "right" + ENTER, "right"),
        ("grüße 東" + ENTER, "grüße 東"),
        (ENTER, ""),
    ],
)
def test_keys_make_a_request(keyboard: Keyboard, keys: str, text: str) -> None:
    keyboard.press(keys)
    assert keyboard.screen.read() == text


def test_ctrl_d_at_an_empty_prompt_ends(keyboard: Keyboard) -> None:
    keyboard.press(CTRL_D)
    with pytest.raises(EOFError):
        keyboard.screen.read()


def test_ctrl_c_at_an_empty_prompt_says_how_to_leave_and_a_second_one_leaves(keyboard: Keyboard) -> None:
    keyboard.press(CTRL_C + "still here" + ENTER)
    assert keyboard.screen.read() == "still here"
    assert "Ctrl-C again or Ctrl-D quits" in keyboard.shown
    keyboard.press(CTRL_C + CTRL_C)
    with pytest.raises(EOFError):
        keyboard.screen.read()


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("y", "once"),
        ("n", "no"),
        ("a", "always"),
        ("yes", "once"),
        ("maybe" + ENTER + "n", "no"),
        (ENTER + "Y", "once"),
    ],
)
def test_a_question_is_asked_until_it_is_answered(keyboard: Keyboard, keys: str, answer: str) -> None:
    keyboard.press(keys + ENTER)
    assert keyboard.screen.ask("Run it?") == answer


def test_ctrl_d_at_a_question_is_no_and_ctrl_c_stops(keyboard: Keyboard) -> None:
    keyboard.press(CTRL_D)
    assert keyboard.screen.ask("Run it?") == "no"
    keyboard.press(CTRL_C)
    with pytest.raises(KeyboardInterrupt):
        keyboard.screen.ask("Run it?")


def test_requests_are_kept_for_the_next_chat_and_answers_to_questions_are_not(pipe: PipeInput, tmp_path: Path) -> None:
    history = tmp_path / "new" / "history"
    first = Keyboard(pipe, history)
    first.press("a cheap hotel" + ENTER + "y" + ENTER)
    assert (first.screen.read(), first.screen.ask("Run it?")) == ("a cheap hotel", "once")
    second = Keyboard(pipe, history)
    second.press(UP + ENTER)
    assert second.screen.read() == "a cheap hotel"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_the_history_is_readable_by_its_user_alone_and_lies_in_the_state_folder(pipe: PipeInput) -> None:
    keyboard = Keyboard(pipe, history_path())
    keyboard.press("secret" + ENTER)
    keyboard.screen.read()
    assert history_path().parent == state_dir()
    assert stat.S_IMODE(history_path().stat().st_mode) == 0o600


def test_a_history_that_cannot_be_used_is_done_without(pipe: PipeInput, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for history in (tmp_path / "file" / "history", tmp_path):
        keyboard = Keyboard(pipe, history)
        keyboard.press("hello" + ENTER)
        assert keyboard.screen.read() == "hello"


def test_a_whole_chat_with_questions_markdown_and_slash_commands(keyboard: Keyboard) -> None:
    def book(name: str) -> str:
        """Book."""
        return f"RX7 for {name}"

    loop = ChatLoop(keyboard.screen)
    replies = ["Action: book(name='Alm')", "System: **Booked**, RX7.", "Action: book(name='B')", "System: Also."]
    session = Session(ScriptedEngine(replies, 16384), Toolbox([book]), approve=Permission(loop.ask))
    keyboard.press("book" + ENTER + "a" + ENTER + "more" + ENTER + "/tools" + ENTER + "/quit" + ENTER)
    loop.run(Chat(session, "m"))
    for words in ("call   book(name='Alm')", 'result "RX7 for Alm"', "Booked", "book(name='B')", "book(name): Book."):
        assert words in keyboard.shown
    assert "**" not in keyboard.shown.rpartition("Booked")[2]
    assert len(session.messages) == 8


def test_a_dumb_terminal_gets_no_escape_codes(pipe: PipeInput, tmp_path: Path) -> None:
    keyboard = Keyboard(pipe, tmp_path / "history", TERM="dumb")
    keyboard.screen.text("two\x1b[2J ")
    keyboard.screen.text("**words**")
    keyboard.screen.end_text()
    keyboard.screen.step("call", "find()")
    keyboard.screen.note("a note")
    keyboard.screen.error("an error")
    assert keyboard.shown == "two\ufffd[2J **words**\ncall   find()\na note\nan error\n"


def test_rich_markup_in_words_is_shown_as_text(keyboard: Keyboard) -> None:
    keyboard.screen.step("result", "[bold]x[/bold] :smile:")
    keyboard.screen.error("error: [/nothing]")
    assert "[bold]x[/bold] :smile:" in keyboard.shown
    assert "error: [/nothing]" in keyboard.shown
