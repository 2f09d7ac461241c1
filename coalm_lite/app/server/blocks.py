"""Tool blocks whose state is kept on disk: the beginning that a client's prompts share, looked for once while idle.

A server that was started again then need not compute a large model's tool block again. While answers are in work
nothing is looked for: prompts share what is in memory anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from coalm_lite.app.desks import AppDesk
from coalm_lite.app.server.asking import Asked
from coalm_lite.dialects.base import system_text
from coalm_lite.runtime.base import Cancel, Cancelled, common_prefix_length
from coalm_lite.types import Message

_REMEMBERED = 256


class Blocks:
    """Those that were looked for; any thread may ask."""

    def __init__(self) -> None:
        self._tried: OrderedDict[tuple[object, ...], None] = OrderedDict()

    def ready(self, desk: AppDesk, asked: Asked, tokens: Sequence[int], cancel: Cancel) -> bool:
        """Have the block of a prompt at hand, if it was not tried before; False when that was cancelled."""
        state = desk.state
        key = (asked.dialect.NAME, system_text(asked.messages), repr(asked.specs), state.restarts)
        if state.answering or state.waiting or key in self._tried:
            return True
        self._tried[key] = None
        while len(self._tried) > _REMEMBERED:
            self._tried.popitem(last=False)
        one, other = (_tokens(desk, asked, words) for words in ("a", "1"))
        block = one[: common_prefix_length(one, other)]
        try:
            desk.ready(block[: common_prefix_length(block, tokens)], cancel)
        except Cancelled:
            return False
        return True


def _tokens(desk: AppDesk, asked: Asked, words: str) -> list[int]:
    """The prompt with a user's words alone."""
    system = tuple(message for message in asked.messages if message.role == "system")
    return replace(asked, messages=(*system, Message("user", words))).tokens(desk)
