"""llama.cpp's log lines, routed to the Python logger `coalm_lite.llama` and kept as the reason of a failure.

llama.cpp reports an error's cause only in its log. Nothing reaches standard error unless the program configures the
logger, with one exception: a grammar that does not parse is printed by llama.cpp itself.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("coalm_lite.llama")
logger.addHandler(logging.NullHandler())

_CONTINUED = 5
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}


class LlamaLog:
    """Takes log pieces as llama.cpp sends them: a level (ggml_log_level) and a text, perhaps a part of a line."""

    def __init__(self) -> None:
        self._level = logging.DEBUG
        self._line = ""
        self._first_error = ""

    def take(self, level: int, text: bytes, _user_data: object = None) -> None:
        """Keep a piece, and pass on the lines that it completes; the shape of llama.cpp's log callback."""
        if level != _CONTINUED:
            self._level = _LEVELS.get(level, logging.DEBUG)
        *lines, self._line = (self._line + text.decode(errors="replace")).split("\n")
        for line in filter(None, lines):
            if self._level == logging.ERROR and not self._first_error:
                self._first_error = line
            logger.log(self._level, "%s", line)

    def forget(self) -> None:
        """Begin a piece of work: its first error is the next one."""
        self._first_error = ""

    @property
    def reason(self) -> str:
        """The first error since `forget`, as `: <line>`; "" when there was none."""
        return f": {self._first_error}" if self._first_error else ""
