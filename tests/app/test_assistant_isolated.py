"""The assistant on an engine in a child process, which is killed, stopped and closed in mid-turn."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Literal

import psutil
import pytest

from coalm_lite.app.assistant import Assistant
from coalm_lite.app.isolated import IsolatedDesk
from coalm_lite.errors import DecodingError, EngineCrashed
from coalm_lite.types import Observation, TurnDone
from tests.app.talking import turn_threads, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with POSIX signals")
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
BOOK = "Book a table at Bella for 4 people on friday at 19:00."


PROCESSES: list[int] = []  # that the tool ran in
STOPPED: list[int] = []  # processes that the tool stops, so that no word of the answer is written after it


def book_restaurant(name: str, people: int, day: Day, time: str) -> dict[str, object]:
    """Book a table at a restaurant.

    Args:
        name: name of the restaurant
        people: number of people
        day: day of the week
        time: time as HH:MM
    """
    PROCESSES.append(os.getpid())
    for pid in STOPPED:
        os.kill(pid, signal.SIGSTOP)
    STOPPED.clear()
    return {"reference": "RX7Q2", "name": name, "people": people, "day": day, "time": time}


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Assistant("nano", [book_restaurant], threads=1) as opened:
        yield opened


def engine_pid(assistant: Assistant) -> int:
    desk = assistant._desk
    assert isinstance(desk, IsolatedDesk)
    assert desk.pid is not None
    return desk.pid


def test_tools_run_in_the_app_s_process_and_the_engine_does_not(assistant: Assistant) -> None:
    reply = assistant.ask(BOOK)
    assert [each.ok for each in reply.calls] == [True]
    assert PROCESSES[-1] == os.getpid()
    assert engine_pid(assistant) != os.getpid()
    assistant.reset()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_an_engine_that_dies_in_mid_turn_is_an_error_and_the_next_turn_has_another(
    assistant: Assistant, number: signal.Signals
) -> None:
    assistant.reset()
    assistant.ask("hello")
    dead = engine_pid(assistant)
    STOPPED.append(dead)
    with pytest.raises(EngineCrashed):
        for event in assistant.send(BOOK):
            if isinstance(event, Observation):
                os.kill(dead, number)
                os.kill(dead, signal.SIGCONT)
    roles = [message.role for message in assistant.messages]
    assert roles == ["user", "assistant", "user", "assistant", "tool"]  # the call's step was finished
    assert assistant.ask("What is the reference?").reason == "stop"
    assert engine_pid(assistant) != dead
    assert until(lambda: not turn_threads())


def test_a_task_that_leaves_its_turn_cancels_it_in_the_engine_s_process(assistant: Assistant) -> None:
    assistant.reset()
    pid = engine_pid(assistant)
    STOPPED.append(pid)

    async def leave() -> None:
        async for event in assistant.asend(BOOK):
            if isinstance(event, Observation):
                break

    try:
        asyncio.run(leave())
    finally:
        os.kill(pid, signal.SIGCONT)
    assert until(lambda: not turn_threads())
    assert [message.role for message in assistant.messages] == ["user", "assistant", "tool", "assistant"]
    assert assistant.messages[-1].text == ""
    assert assistant._desk.state.answering == 0  # type: ignore[attr-defined]
    assert engine_pid(assistant) == pid
    assert assistant.ask(BOOK).reason == "stop"


def test_closing_in_mid_turn_ends_the_engine_s_process() -> None:
    assistant = Assistant("nano", [book_restaurant], threads=1)
    pid = engine_pid(assistant)
    events = assistant.send(BOOK)
    next(events)
    began = time.monotonic()
    assistant.close()
    assert time.monotonic() - began < 5
    with pytest.raises(DecodingError, match="the assistant was closed"):
        list(events)
    assert until(lambda: not psutil.pid_exists(pid))
    assert not turn_threads()


def test_an_assistant_that_is_only_forgotten_ends_its_process() -> None:
    assistant = Assistant("nano", threads=1)
    pid = engine_pid(assistant)
    assert isinstance(list(assistant.send("hello"))[-1], TurnDone)
    del assistant
    assert until(lambda: not psutil.pid_exists(pid))
