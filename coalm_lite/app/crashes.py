"""How a process ended, in words, and the last lines that it wrote."""

from __future__ import annotations

import logging
import signal
from collections import deque

from coalm_lite.errors import EngineCrashed

logger = logging.getLogger("coalm_lite.app.child")
logger.addHandler(logging.NullHandler())

_MOST_LINES = 100
_MOST_LETTERS = 500
_MEANINGS = {
    "SIGABRT": "the engine found a fault of its own and gave up",
    "SIGBUS": "its memory or the model's file was taken away",
    "SIGFPE": "it computed what cannot be computed",
    "SIGILL": "this processor lacks an instruction that it was built for",
    "SIGKILL": "somebody, or a system that ran out of memory, ended it",
    "SIGSEGV": "it reached for memory that is not its own",
}
_HINT = "The next request starts a fresh engine; if it ends so again, the error's `log` has its last lines."
_MEMORY_HINT = (
    "The next request starts a fresh engine. If memory is short, choose a smaller quant or a shorter context, "
    "or close other programs."
)


class LastLines:
    """The last lines of a stream, long ones cut; each also goes to the logger `coalm_lite.app.child`."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._rest = b""

    def take(self, chunk: bytes) -> None:
        """Take the next bytes, which may end within a line."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        self._rest = self._rest[:_MOST_LETTERS]
        for line in whole:
            text = _plain(line)
            if text:
                self._lines.append(text)
                logger.debug("%s", text)

    @property
    def all(self) -> tuple[str, ...]:
        """The lines, the last one perhaps unfinished."""
        rest = _plain(self._rest)
        return (*self._lines, rest) if rest else tuple(self._lines)


def _plain(line: bytes) -> str:
    """The line without what a terminal would obey."""
    text = line[:_MOST_LETTERS].decode(errors="replace").rstrip()
    return "".join(letter if letter.isprintable() else " " for letter in text)


def ending_words(status: int) -> str:
    """What an exit status says: `was killed by SIGSEGV: it reached for memory that is not its own`."""
    name = _signal_name(status)
    if name:
        meaning = _MEANINGS.get(name)
        return f"was ended by {name}" + (f": {meaning}" if meaning else "")
    return f"ended with exit status {status}" if 0 <= status < 256 else f"ended with status {status & 0xFFFFFFFF:#x}"


def _signal_name(status: int) -> str:
    """The signal of a negative status, as subprocess gives it; "" for another status."""
    try:
        return signal.Signals(-status).name if status < 0 else ""
    except ValueError:
        return ""


def crashed(ending: str, status: int, log: tuple[str, ...]) -> EngineCrashed:
    """The error for a process that ended so."""
    hint = _MEMORY_HINT if _signal_name(status) == "SIGKILL" else _HINT
    return EngineCrashed(f"the engine's process {ending}", hint, ending, log)
