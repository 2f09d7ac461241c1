"""Running one tool: in a thread of its own, with a timeout, its result as JSON text.

A sync function cannot be killed: after a timeout, a cancel or Ctrl-C control returns at once, the daemon thread runs on
unheard.
An async function runs in an event loop of that thread, so that it also works below a caller's loop, and is cancelled.
Context variables are copied, so what a tool sets is not seen by the caller. Not here: the check of arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping

from coalm_lite.runtime.base import Cancel

WAIT_SLICE_S = 0.05
CANCEL_GRACE_S = 0.5


class ToolTimeoutError(Exception):
    """The tool took longer than it may."""


class ToolStoppedError(Exception):
    """The turn was cancelled before the tool had a result."""


def run_to_json(
    function: Callable[..., object], arguments: Mapping[str, object], timeout_s: float, cancel: Cancel | None = None
) -> str:
    """The result of `function(**arguments)` as JSON text.

    Raises what the function raised, ValueError or TypeError for a result that is no JSON, ToolTimeoutError after
    `timeout_s` seconds, ToolStoppedError when `cancel` is set; KeyboardInterrupt reaches the caller at once.
    """
    cancel = cancel or Cancel()
    thread = _ToolThread(function, arguments)
    try:
        thread.start()
        in_time = thread.wait(timeout_s, cancel)
    except BaseException:  # Ctrl-C: the tool must not work on for nobody
        thread.cancel()
        raise
    if not in_time:
        thread.cancel()
        thread.wait(CANCEL_GRACE_S if thread.is_async else 0.0)  # for a cancelled tool to close what it opened
        if cancel.is_set:
            raise ToolStoppedError
        raise ToolTimeoutError(f"no result within {timeout_s:g} s")
    if thread.error is not None:
        raise thread.error
    return thread.text


def to_json(result: object) -> str:
    """`result` on one line of JSON, as json.dumps separates it; models, dataclasses, dates, enums as pydantic does."""
    from pydantic_core import to_jsonable_python

    return _json_text(to_jsonable_python(result))


def error_to_json(problem: str) -> str:
    """The observation's text for a call without a result."""
    return _json_text({"error": problem})


def _json_text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # a lone surrogate cannot be encoded further on; what replaces it here is its JSON escape
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _ToolThread(threading.Thread):
    """One run of a tool; holds its `text` or its `error` once it has finished."""

    def __init__(self, function: Callable[..., object], arguments: Mapping[str, object]) -> None:
        super().__init__(name=f"tool {getattr(function, '__name__', 'function')}", daemon=True)
        self._function = function
        self._arguments = arguments
        self._context = contextvars.copy_context()
        self._finished = threading.Event()
        self._cancelled = threading.Event()
        self._cancel_task: Callable[[], object] | None = None
        self.text = ""
        self.error: BaseException | None = None

    @property
    def is_async(self) -> bool:
        return self._cancel_task is not None

    def run(self) -> None:
        try:
            self.text = self._context.run(self._work)
        except BaseException as error:  # handed to the waiting caller, sys.exit() included
            self.error = error
        finally:
            self._finished.set()

    def _work(self) -> str:
        result = self._function(**self._arguments)
        if inspect.isawaitable(result):
            result = asyncio.run(self._awaited(result))
        return to_json(result)

    async def _awaited(self, awaitable: Awaitable[object]) -> object:
        task = asyncio.ensure_future(awaitable)
        loop = asyncio.get_running_loop()
        self._cancel_task = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._cancelled.is_set():  # before there was a task to cancel
            task.cancel()
        return await task

    def wait(self, timeout_s: float, cancel: Cancel | None = None) -> bool:
        """Whether the tool finished within `timeout_s` and before a cancel.

        Waits in slices: to look at `cancel`, and since Windows delivers Ctrl-C between them.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._finished.is_set():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or (cancel is not None and cancel.is_set):
                return False
            self._finished.wait(min(left_s, WAIT_SLICE_S))
        return True

    def cancel(self) -> None:
        self._cancelled.set()
        if self._cancel_task is not None:
            with contextlib.suppress(RuntimeError):  # its loop has closed: it finished meanwhile
                self._cancel_task()
