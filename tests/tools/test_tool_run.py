"""One tool's thread: results as JSON, timeouts, cancellation, contexts and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import json
import signal
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from coalm_lite.runtime.base import Cancel
from coalm_lite.tools.run import ToolStoppedError, ToolTimeoutError, run_to_json, to_json

LONG_S = 30.0
TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("TRACE", default="unset")


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int


class Stop(BaseModel):
    name: str
    at: datetime


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ({"a": [1, 2.5, True]}, '{"a": [1, 2.5, true]}'),
        ("Zürich", '"Zürich"'),
        (Colour.RED, '"red"'),
        (Point(1), '{"x": 1}'),
        (
            [Stop(name="Quay", at=datetime(2031, 1, 2, 3, 4, tzinfo=UTC))],
            '[{"name": "Quay", "at": "2031-01-02T03:04:00Z"}]',
        ),
        ((1, 2), "[1, 2]"),
        ({1: "a"}, '{"1": "a"}'),
        ("half a pair: \ud83d", '"half a pair: \\ud83d"'),
    ],
)
def test_a_result_becomes_json_on_one_line(value: object, text: str) -> None:
    assert to_json(value) == text


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], object(), b"\xff", str])
def test_a_result_that_is_no_json_is_an_error(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        to_json(value)


def test_a_result_that_contains_itself_is_an_error() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        to_json(loop)


def test_sync_and_async_functions_give_their_results() -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert run_to_json(lambda x: x + 1, {"x": 1}, LONG_S) == "2"
    assert run_to_json(later, {"x": 1}, LONG_S) == "2"


def test_an_async_function_runs_below_a_running_event_loop() -> None:
    async def later() -> str:
        await asyncio.sleep(0)
        return "inside"

    async def caller() -> str:
        return run_to_json(later, {}, LONG_S)

    assert asyncio.run(caller()) == '"inside"'


def test_what_the_function_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("tram")

    async def fail_later() -> None:
        raise KeyError("tram")

    for function in (fail, fail_later):
        with pytest.raises(KeyError, match="tram"):
            run_to_json(function, {}, LONG_S)


def test_a_tool_s_own_timeout_error_is_not_taken_for_ours() -> None:
    def fail() -> None:
        raise TimeoutError("the server was slow")

    with pytest.raises(TimeoutError, match="the server was slow"):
        run_to_json(fail, {}, LONG_S)


def test_control_returns_from_a_sync_function_that_goes_on() -> None:
    release, left = threading.Event(), threading.Event()

    def stuck() -> None:
        release.wait()
        left.set()

    try:
        with pytest.raises(ToolTimeoutError, match=r"no result within 0\.05 s"):
            run_to_json(stuck, {}, 0.05)
        assert not left.is_set()
    finally:
        release.set()
    assert left.wait(LONG_S)


def test_a_cancel_ends_the_wait_and_cancels_an_async_function() -> None:
    cancel, closed = Cancel(), threading.Event()

    async def slow() -> None:
        cancel.set()
        try:
            await asyncio.sleep(LONG_S)
        finally:
            closed.set()

    with pytest.raises(ToolStoppedError):
        run_to_json(slow, {}, LONG_S, cancel)
    assert closed.is_set()


def test_an_async_function_is_cancelled_and_may_close_what_it_opened() -> None:
    closed = threading.Event()

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    with pytest.raises(ToolTimeoutError):
        run_to_json(stuck, {}, 1.0)  # long enough for it to have begun
    assert closed.wait(LONG_S)


def test_an_async_function_that_starts_after_the_timeout_is_cancelled_too() -> None:
    release, closed = threading.Event(), threading.Event()

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    def slow_to_start() -> object:
        release.wait()
        return late()

    with pytest.raises(ToolTimeoutError):
        run_to_json(slow_to_start, {}, 0.05)
    release.set()
    # its task is cancelled before its first step, so the thread ends and nothing of it hangs
    for thread in threading.enumerate():
        if thread.name == "tool slow_to_start":
            thread.join(LONG_S)
            assert not thread.is_alive()
    assert not closed.is_set()


def test_a_serialisation_that_does_not_end_is_within_the_timeout() -> None:
    release = threading.Event()

    def endless() -> object:
        def items() -> object:
            release.wait()
            yield 1

        return items()

    try:
        with pytest.raises(ToolTimeoutError):
            run_to_json(endless, {}, 0.05)
    finally:
        release.set()


def test_context_variables_reach_the_function_and_do_not_come_back() -> None:
    def read_and_set() -> str:
        seen = TRACE.get()
        TRACE.set("changed by the tool")
        return seen

    async def read_later() -> str:
        return TRACE.get()

    token = TRACE.set("turn 7")
    try:
        assert run_to_json(read_and_set, {}, LONG_S) == '"turn 7"'
        assert run_to_json(read_later, {}, LONG_S) == '"turn 7"'
        assert TRACE.get() == "turn 7"
    finally:
        TRACE.reset(token)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to a thread")
def test_ctrl_c_during_a_tool_reaches_the_caller_and_cancels_the_tool() -> None:
    cancelled = threading.Event()
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    async def interrupted() -> None:
        signal.pthread_kill(main_thread, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(KeyboardInterrupt):
        run_to_json(interrupted, {}, LONG_S)
    assert cancelled.wait(LONG_S)


def test_many_tools_run_at_the_same_time() -> None:
    barrier = threading.Barrier(4)
    texts: list[str] = []

    def meet(number: int) -> int:
        barrier.wait(LONG_S)
        return number

    threads = [
        threading.Thread(target=lambda n=n: texts.append(run_to_json(meet, {"number": n}, LONG_S))) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert sorted(json.loads(text) for text in texts) == [0, 1, 2, 3]
