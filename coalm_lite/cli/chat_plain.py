"""The conversation as plain lines, for pipes and files: requests a line each, everything shown as text.

Where standard input is a terminal, it is prompted for and calls are asked about, on standard error; else nobody can be
asked, and calls run only with --yes.
"""

from __future__ import annotations

from typing import TextIO

from coalm_lite.cli.chat_loop import ANSWERS, Answer
from coalm_lite.cli.turn import question as a_question
from coalm_lite.cli.wording import printable

PROMPT = "> "
MORE = ". "


class PlainScreen:
    """A `Screen` of lines; `steps` is where calls and results go, None for nowhere."""

    def __init__(self, source: TextIO, output: TextIO, errors: TextIO, steps: TextIO | None) -> None:
        self._source = source
        self._output = output
        self._errors = errors
        self._steps = steps
        self._text_open = False

    def read(self) -> str:
        """The next request: a line, with the next one when it ends in a backslash; EOFError at the end."""
        lines = [self._line(PROMPT)]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._line(MORE))
        return "\n".join(lines)

    def _line(self, prompt: str) -> str:
        self._prompt(prompt)
        line = self._source.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")

    def _prompt(self, words: str) -> None:
        if self._source.isatty():
            self._errors.write(words)
            self._errors.flush()

    def ask(self, question: str) -> Answer:
        """The user's answer at a terminal; else no, and a note that says so."""
        if not self._source.isatty():
            self.note("not run: nobody can be asked here; --yes allows all calls")
            return "no"
        with a_question():
            while True:
                try:
                    answer = ANSWERS.get(self._line(f"{question} [y/n/a] ").strip().lower())
                except EOFError:
                    return "no"
                if answer is not None:
                    return answer

    def text(self, delta: str) -> None:
        """Write the next piece of the answer."""
        self._output.write(printable(delta) if self._output.isatty() else delta)
        self._output.flush()
        self._text_open = True

    def end_text(self) -> None:
        """End the answer's line."""
        if self._text_open:
            self._write(self._output, "")
            self._text_open = False

    def step(self, label: str, words: str) -> None:
        """Write a call or its result on a line."""
        if self._steps is not None:
            self._write(self._steps, f"{label:<6} {words}")

    def note(self, words: str) -> None:
        """Write a note to standard error, so that the conversation alone can be piped on."""
        self._write(self._errors, words)

    def error(self, words: str) -> None:
        """Write an error to standard error."""
        self._write(self._errors, words)

    @staticmethod
    def _write(stream: TextIO, words: str) -> None:
        stream.write(words + "\n")
        stream.flush()
