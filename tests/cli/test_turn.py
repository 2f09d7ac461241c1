from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from coalm_lite.cli.turn import deny, question, turn
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Event, TextDelta, ToolCall, TurnDone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
HELLO = "System: Hello, what can I do for you?"


def session(*replies: str, **tools: object) -> Session:
    return Session(ScriptedEngine(replies, 16384), Toolbox([tool for tool in tools.values() if callable(tool)]))


@pytest.fixture(autouse=True)
def _same_handler_afterwards() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_stops_the_answer_keeps_what_was_seen_and_the_session_goes_on() -> None:
    talk = session(HELLO, "System: Again.")
    seen = ""
    events: list[Event] = []
    for event in turn(talk, "hi"):
        events.append(event)
        if isinstance(event, TextDelta):
            seen += event.text
            if seen == "Hello":
                signal.raise_signal(signal.SIGINT)
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert (done.reason, done.text, seen) == ("cancelled", "Hello", "Hello")
    *_, again = turn(talk, "go on")
    assert isinstance(again, TurnDone)
    assert again.text == "Again."
    assert [message.text for message in talk.messages] == ["hi", "Hello", "go on", "Again."]


def test_a_second_ctrl_c_in_the_same_turn_leaves_it() -> None:
    talk = session(HELLO)
    with pytest.raises(KeyboardInterrupt), closing(turn(talk, "hi")) as events:
        for event in events:
            assert isinstance(event, TextDelta)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    assert talk.messages == []


def test_ctrl_c_while_a_tool_runs_leaves_the_tool_and_forgets_the_step() -> None:
    release = threading.Event()

    def wait() -> str:
        """Wait."""
        os.kill(os.getpid(), signal.SIGINT)
        release.wait(20)
        return "done"

    talk = session("Action: wait()", HELLO, wait=wait)
    try:
        with pytest.raises(KeyboardInterrupt), closing(turn(talk, "go")) as events:
            list(events)
    finally:
        release.set()
    assert talk.messages == []
    *_, done = turn(talk, "hi")
    assert isinstance(done, TurnDone)
    assert done.reason == "stop"


def test_ctrl_c_ends_a_question_that_is_asked_in_a_turn() -> None:
    def approve(_call: ToolCall) -> bool:
        with question():
            signal.raise_signal(signal.SIGINT)
        raise AssertionError("the question was not ended")

    def tool() -> str:
        """Do."""
        raise AssertionError("it ran")

    talk = session("Action: tool()", tool=tool)
    talk.approve = approve
    with pytest.raises(KeyboardInterrupt), closing(turn(talk, "go")) as events:
        list(events)
    assert talk.messages == []


def test_a_turn_works_outside_the_main_thread() -> None:
    found: list[Event] = []
    thread = threading.Thread(target=lambda: found.extend(turn(session(HELLO), "hi")))
    thread.start()
    thread.join(30)
    assert isinstance(found[-1], TurnDone)


def test_a_turn_that_is_closed_early_forgets_its_request() -> None:
    talk = session(HELLO)
    with closing(turn(talk, "hi")) as events:
        next(events)
    assert talk.messages == []


def test_deny_allows_nothing() -> None:
    assert deny(ToolCall("tool")) is False
