"""Markdown on a terminal while it is being written.

A finished block (up to a blank line outside a code fence) is printed for good; the unfinished one is drawn again with
every piece, its last lines only where it is higher than the terminal. HTML is shown as the text it is, links show
where they lead, and control characters do not reach the terminal.
"""

from __future__ import annotations

import re
import time

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

from coalm_lite.cli.wording import printable

REFRESH_S = 0.08
_SPARE_LINES = 2
_BOUNDARY = re.compile(r"\n[ \t]*\n(?=[^\s])")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


class MarkdownStream:
    """Shows pieces of one text after another; `close` ends a text, and the next piece begins a new one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pending = ""
        self._printed = False
        self._live: Live | None = None
        self._drawn_at_s = 0.0

    def write(self, piece: str) -> None:
        """Show the next piece."""
        self._pending += printable(piece)
        finished, self._pending = split_finished(self._pending)
        if finished:
            self._print(finished)
        self._draw()

    def close(self) -> None:
        """Print what is left."""
        if self._pending.strip():
            self._print(self._pending)
        self._erase()
        self._pending, self._printed = "", False

    def _print(self, text: str) -> None:
        self._erase()
        if self._printed:
            self._console.print()
        self._console.print(_Markdown(text))
        self._printed = True

    def _draw(self) -> None:
        """Draw the unfinished block, at most once in `REFRESH_S`."""
        now_s = time.monotonic()
        if not self._pending.strip() or now_s - self._drawn_at_s < REFRESH_S:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
        self._live.update(_LastLines(_Markdown(self._pending)), refresh=True)
        self._drawn_at_s = now_s

    def _erase(self) -> None:
        """Take the unfinished block off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def split_finished(text: str) -> tuple[str, str]:
    """The blocks of a Markdown text that nothing can change any more, and the rest.

    A blank line ends a block when it lies outside a code fence and the next line is not indented.
    """
    end = 0
    for boundary in _BOUNDARY.finditer(text):
        if not _inside_fence(text[end : boundary.start()]):
            end = boundary.end()
    return text[:end].rstrip("\n"), text[end:]


def _inside_fence(text: str) -> bool:
    """Whether a code fence that opens in `text` is still open at its end."""
    opened = ""
    for match in _FENCE.finditer(text):
        mark = match[1]
        if not opened:
            opened = mark
        elif mark[0] == opened[0] and len(mark) >= len(opened):
            opened = ""
    return bool(opened)


class _Markdown(Markdown):
    """rich's Markdown, with HTML as plain text, which rich would leave out."""

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False)
        parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
        self.parsed = parser.parse(text)


class _LastLines:
    """As much of the end of a text as the terminal can hold, so that drawing it again works."""

    def __init__(self, content: Markdown) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._content, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - _SPARE_LINES) :]:
            yield from line
            yield Segment.line()
