"""The conversation on a terminal: an editable prompt with history, answers as Markdown, calls and results in colour.

A dumb terminal gets the same without drawing anything twice. What can go wrong with the history file (a folder that
cannot be written, a full disk) costs the history and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from rich.console import Console
from rich.text import Text

from coalm_lite.cli.chat_loop import ANSWERS, Answer
from coalm_lite.cli.markdown_stream import MarkdownStream
from coalm_lite.cli.wording import printable
from coalm_lite.paths import state_dir

PROMPT = "> "
MORE = ". "
_PROMPT_STYLE = "ansicyan"
_STYLES = {"call": "cyan", "result": "dim", "failed": "yellow"}
_LEAVING = "Ctrl-C again or Ctrl-D quits"


def history_path() -> Path:
    """Where the requests of earlier chats are kept."""
    return state_dir() / "chat_history"


class TerminalScreen:
    """A `Screen` on a terminal. `input` and `output` are the terminal's own unless a test gives others."""

    def __init__(
        self, console: Console, history: Path, input: Input | None = None, output: Output | None = None
    ) -> None:
        self._console = console
        self._stream = MarkdownStream(console)
        self._plain = console.is_dumb_terminal
        self._plain_text_open = False
        self._leaving = False
        output = output or _terminal_output()
        self._prompt: PromptSession[str] = PromptSession(
            history=_History(history),
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=MORE,
            input=input,
            output=output,
        )
        self._question: PromptSession[str] = PromptSession(input=input, output=output)

    def read(self) -> str:
        """The user's next request; EOFError at Ctrl-D, or a second Ctrl-C, at an empty prompt."""
        while True:
            try:
                text = self._prompt.prompt([(_PROMPT_STYLE, PROMPT)])
            except KeyboardInterrupt:
                if self._leaving:
                    raise EOFError from None
                self._leaving = True
                self.note(_LEAVING)
                continue
            self._leaving = False
            return text

    def ask(self, question: str) -> Answer:
        """The user's answer; asked again until it is one. Ctrl-D is no."""
        while True:
            try:
                words = self._question.prompt([(_PROMPT_STYLE, f"{question} [y/n/a] ")])
            except EOFError:
                return "no"
            answer = ANSWERS.get(words.strip().lower())
            if answer is not None:
                return answer

    def text(self, delta: str) -> None:
        """Show the next piece of the answer."""
        if self._plain:
            self._console.file.write(printable(delta))
            self._console.file.flush()
            self._plain_text_open = True
        else:
            self._stream.write(delta)

    def end_text(self) -> None:
        """Finish the answer so far."""
        self._stream.close()
        if self._plain_text_open:
            self._console.print()
            self._plain_text_open = False

    def step(self, label: str, words: str) -> None:
        """Show a call or its result after its label."""
        self._console.print(Text(f"{label:<6} {words}", style=_STYLES.get(label, "")), overflow="fold")

    def note(self, words: str) -> None:
        """Tell something, dimmed."""
        self._console.print(Text(words, style="dim"), overflow="fold")

    def error(self, words: str) -> None:
        """Tell an error, in red."""
        self._console.print(Text(words, style="red"), overflow="fold")


def _terminal_output() -> Output:
    """The terminal's output, which is not asked for the cursor's place: some never answer, and nothing needs it."""
    output = create_output()
    if isinstance(output, Vt100_Output):
        output.enable_cpr = False
    return output


def _keys() -> KeyBindings:
    """Enter sends, or goes on after a backslash; Esc Enter begins a new line; Ctrl-C clears, or leaves when empty."""
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and buffer.text.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c")
    def _clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

    return keys


class _History(FileHistory):
    """The requests of earlier chats; readable by their user alone, and not missed when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(str(path))

    def load_history_strings(self) -> Iterable[str]:
        """The requests, the newest first."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Add a request."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            super().store_string(string)
