"""An app's say in whether a call may run: a function, or an async one, asked from inside a turn."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import TypeAlias

from coalm_lite.app.turns import AnyTurn, TurnQueue
from coalm_lite.types import ToolCall

Approve: TypeAlias = "Callable[[ToolCall], bool | Awaitable[bool]]"
_LOOK_S = 0.05  # how often it is looked whether the turn was cancelled


class Approval:
    """An `approve` for a session. The app's function is called on the turn's thread and may take its time.

    Awaited is an async one on the loop of the task that asked (`asend`), or on a loop of its own where a thread asked;
    when the turn is cancelled, so is it, and the call does not run. What either raises ends the turn and is raised to
    the asker; the call does not run then.
    """

    def __init__(self, approve: Approve, turns: TurnQueue) -> None:
        self._approve = approve
        self._turns = turns

    def __call__(self, call: ToolCall) -> bool:
        turn = self._turns.running
        if turn is None:
            raise AssertionError("a session that belongs to an assistant asks inside a turn")
        with turn.callback():
            if turn.ended:  # a close waits for no callback, so none begins after it
                return False
            answer = self._approve(call)
            return bool(_awaited(answer, turn) if inspect.isawaitable(answer) else answer)


def _awaited(answer: Awaitable[bool], turn: AnyTurn) -> bool:
    if turn.loop is None:
        return asyncio.run(_until_cancelled(answer, turn))
    waiting = _until_cancelled(answer, turn)
    try:
        return asyncio.run_coroutine_threadsafe(waiting, turn.loop).result()
    except (RuntimeError, CancelledError):
        if not turn.loop.is_closed() and not turn.cancel.is_set:
            raise
        waiting.close()  # the loop ended in the middle: nobody is left to ask
        return False


async def _until_cancelled(answer: Awaitable[bool], turn: AnyTurn) -> bool:
    task = asyncio.ensure_future(answer)
    while not task.done():
        if turn.cancel.is_set:
            task.cancel()
            return False
        await asyncio.wait([task], timeout=_LOOK_S)
    return task.result()
