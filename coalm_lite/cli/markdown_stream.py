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
_BOUNDARY = re.compile(r"\n(?:[ \t]*\n)+(?=\S)")
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
        blocks, self._pending = finished_blocks(self._pending)
        for block in blocks:
            self._print(block)
        self._draw()

    def close(self) -> None:
        """Print what is left."""
        self._print(self._pending)
        self._pending, self._printed = "", False

    def _print(self, text: str) -> None:
        self._erase()
        if not text.strip():
            return
        if self._printed:
            self._console.print()
        self._console.print(_Block(text))
        self._printed = True

    def _draw(self) -> None:
        """Draw the unfinished block, at most once in `REFRESH_S`."""
        now_s = time.monotonic()
        if not self._pending.strip() or now_s - self._drawn_at_s < REFRESH_S:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
        self._live.update(_Block(self._pending, self._console.height - _SPARE_LINES), refresh=True)
        self._drawn_at_s = now_s

    def _erase(self) -> None:
        """Take the unfinished block off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def finished_blocks(text: str) -> tuple[list[str], str]:
    """The blocks of a Markdown text that nothing can change any more, and the rest.

    A blank line ends a block when it lies outside a code fence and the next line is not indented.
    """
    blocks: list[str] = []
    end = 0
    for boundary in _BOUNDARY.finditer(text):
        block = text[end : boundary.start()]
        if not _inside_fence(block):
            blocks.append(block)
            end = boundary.end()
    return blocks, text[end:]


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


class _Block:
    """A rendered text without blank lines around it; its last `most_lines` where they are limited.

    What is drawn again must fit into the terminal; rich puts blank lines around some blocks and not around others.
    """

    def __init__(self, text: str, most_lines: int | None = None) -> None:
        self._content = _Markdown(text)
        self._most_lines = most_lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._content, options.update(height=None), pad=False)
        filled = [number for number, line in enumerate(lines) if any(part.text.strip() for part in line)]
        lines = lines[filled[0] : filled[-1] + 1] if filled else []
        for line in lines if self._most_lines is None else lines[-max(1, self._most_lines) :]:
            yield from line
            yield Segment.line()
