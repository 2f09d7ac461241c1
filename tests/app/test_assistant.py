"""The assistant on threads: turns, their order, cancels, closes, approval."""

from __future__ import annotations

import contextvars
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coalm_lite import demo
from coalm_lite.app.assistant import Assistant
from coalm_lite.app.reply import Reply
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.requests import Request
from coalm_lite.errors import DecodingError
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.types import CallStarted, Message, Observation, TextDelta, ToolCall, TurnDone
from tests.app.talking import SOON_S, PacedEngine, scripted, turn_threads, until

OWN: contextvars.ContextVar[str] = contextvars.ContextVar("OWN", default="nobody's")
CALL = "Action: look(what='x')"


def look(what: str) -> str:
    """Look at something."""
    return f"{what} is there"


@pytest.fixture(scope="session")
def nano_desk(nano_path: Path) -> Iterator[SharedDesk]:
    """coalm-nano for all tests that have one conversation at a time."""
    with SharedDesk(LlamaEngine.load(nano_path, threads=1)) as desk:
        yield desk


def test_a_hotel_is_found_and_booked_in_the_demo_town(nano_desk: SharedDesk, tmp_path: Path) -> None:
    with Assistant(nano_desk, demo.tools(tmp_path / "town.sqlite3")) as assistant:
        events = list(assistant.send("I need a cheap hotel in the north with parking."))
        kinds = [type(event) for event in events]
        assert kinds[:2] == [CallStarted, Observation]
        assert kinds[-1] is TurnDone
        assert set(kinds[2:-1]) == {TextDelta}
        assert isinstance(done := events[-1], TurnDone)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == done.text
        reply = assistant.ask("Book it for 2 people on friday for 3 nights.")
        assert [(each.call.name, each.ok) for each in reply.calls] == [("book_hotel", True)]
        assert reply.calls[0].call.arguments == {"name": "Juniper Lodge", "people": 2, "day": "friday", "stay": 3}
        assert (reply.reason, reply.text) == ("stop", assistant.messages[-1].text)
        assert reply.timings.generated_tokens > 0


def test_replies_are_equal_whatever_they_cost() -> None:
    with scripted("System: a", "System: a", "System: b") as assistant:
        first, second, third = (assistant.ask("hi") for _ in range(3))
    assert isinstance(first, Reply)
    assert first == second != third


def test_turns_are_answered_in_the_order_in_which_any_threads_asked() -> None:
    held = threading.Event()

    def hold() -> None:
        held.wait(SOON_S)

    script = ["Action: hold()", "System: begun", *[f"System: {number}" for number in range(8)]]
    with scripted(*script, tools=[hold]) as assistant, ThreadPoolExecutor(9) as pool:
        first = pool.submit(assistant.ask, "begin")
        assert until(lambda: len(assistant._turns._all()) == 1)
        later = []
        for number in range(8):
            later.append(pool.submit(assistant.ask, str(number)))
            assert until(lambda wanted=number + 2: len(assistant._turns._all()) == wanted)  # type: ignore[misc]
        held.set()
        assert first.result().text == "begun"
        assert [each.result().text for each in later] == [str(number) for number in range(8)]
        said = [message.text for message in assistant.messages if message.role == "user"]
        assert said == ["begin", *map(str, range(8))]
    assert until(lambda: not turn_threads())


def test_a_cancel_from_another_thread_lands_within_a_token() -> None:
    engine = PacedEngine(["System: one two three", "System: next"])
    with scripted(engine=engine) as assistant:
        engine.leave.release(len("System: one") - 1)  # the first comes with the prompt
        events = assistant.send("count")
        seen = ""
        while seen != "one":
            event = next(events)
            assert isinstance(event, TextDelta)
            seen += event.text
        before = engine.written
        threading.Thread(target=assistant.cancel).start()
        *_, done = events  # without any leave to go on: it waits for no token
        assert isinstance(done, TurnDone)
        assert (done.reason, done.text) == ("cancelled", "one")
        assert engine.written == before
        assert assistant.messages == (Message("user", "count"), Message("assistant", "one"))
        engine.leave.release(100)
        assert assistant.ask("and now?").text == "next"


def test_a_cancel_ends_those_that_wait_and_keeps_nothing_of_them() -> None:
    engine = PacedEngine(["System: one", "System: two"])
    with scripted(engine=engine) as assistant, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(assistant.ask, "first")]
        assert until(lambda: len(engine.prompts) == 1)
        asked += [pool.submit(assistant.ask, "second"), pool.submit(assistant.ask, "third")]
        assert until(lambda: len(assistant._turns._all()) == 3)
        assistant.cancel()
        assert [each.result(SOON_S).reason for each in asked] == ["cancelled"] * 3
        assert [message.text for message in assistant.messages if message.role == "user"] == ["first"]
        engine.leave.release(100)
        assert assistant.ask("again").text == "two"


def test_an_iterator_that_nobody_reads_holds_up_nobody() -> None:
    with scripted("System: a long answer", "System: mine") as assistant:
        half_read = assistant.send("one")
        next(half_read)
        assert assistant.ask("two").text == "mine"
        assert isinstance(list(half_read)[-1], TurnDone)


@pytest.mark.parametrize("how", ["close", "drop", "break"])
def test_a_turn_that_is_left_is_cancelled_and_keeps_the_words_that_were_seen(how: str) -> None:
    engine = PacedEngine(["System: one two three", "System: next"])
    with scripted(engine=engine) as assistant:
        engine.leave.release(len("System: o"))
        events = assistant.send("count")
        if how == "break":
            for _ in events:
                break
        else:
            next(events)
        if how == "close":
            events.close()
        del events
        gc.collect()
        assert until(lambda: not turn_threads())
        assert assistant.messages[1].text in ("o", "on")
        engine.leave.release(100)
        assert assistant.ask("and now?").text == "next"


def test_closing_in_mid_turn_is_an_error_for_the_running_the_waiting_and_the_later() -> None:
    engine = PacedEngine(["System: one two"])
    with SharedDesk(engine) as desk, ThreadPoolExecutor(2) as pool:
        assistant = Assistant(desk)
        engine.leave.release(len("System: one"))
        running = assistant.send("first")
        next(running)
        waiting = pool.submit(assistant.ask, "second")
        assert until(lambda: len(assistant._turns._all()) == 2)
        assistant.close()
        assert not turn_threads()
        with pytest.raises(DecodingError, match="the assistant was closed"):
            list(running)
        with pytest.raises(DecodingError, match="the assistant was closed"):
            waiting.result(SOON_S)
        for later in (assistant.send, assistant.ask, assistant.asend):
            with pytest.raises(DecodingError, match="the assistant was closed"):
                later("third")
        with pytest.raises(DecodingError, match="the assistant was closed"):
            assistant.call({"type": "string"}, "x")
        assistant.close()
        engine.leave.release(100)


def test_an_assistant_closes_its_own_model_and_not_a_desk_that_it_was_given() -> None:
    engine = ScriptedEngine(["System: a", "System: b"], 16384)
    with SharedDesk(engine) as desk:
        for answer in ("a", "b"):
            with Assistant(desk) as assistant:
                assert assistant.ask("hi").text == answer
        assert desk.state.loaded
    with Assistant("nano", isolate=False, threads=1) as own:
        desk_of_its_own = own._desk
    with pytest.raises(DecodingError, match="closed"):
        list(desk_of_its_own.answer(Request([1, 2])))


@pytest.mark.parametrize("where", ["tool", "approve", "thread of a tool"])
def test_a_close_from_inside_a_turn_does_not_wait_for_itself(where: str) -> None:
    box: list[Assistant] = []

    def close_all() -> str:
        if where == "tool":
            box[0].close()
        elif where == "thread of a tool":
            thread = threading.Thread(target=box[0].close)
            thread.start()
            thread.join()
        return "closed"

    def approve(_call: ToolCall) -> bool:
        if where == "approve":
            box[0].close()
        return True

    with scripted("Action: close_all()", "System: x", tools=[close_all], approve=approve) as assistant:
        box.append(assistant)
        began = time.monotonic()
        with pytest.raises(DecodingError, match="the assistant was closed"):
            assistant.ask("go")
        assert time.monotonic() - began < 4
        assert until(lambda: not turn_threads())


def test_a_close_does_not_wait_for_an_approve_that_waits_for_a_user() -> None:
    asked, answer = threading.Event(), threading.Event()
    ran: list[str] = []

    def approve(_call: ToolCall) -> bool:
        asked.set()
        return answer.wait(SOON_S)

    def act() -> None:
        ran.append("act")

    with scripted("Action: act()", "System: x", tools=[act], approve=approve) as assistant:
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(assistant.ask, "go")
            assert asked.wait(SOON_S)
            began = time.monotonic()
            assistant.close()
            assert time.monotonic() - began < 4
            with pytest.raises(DecodingError, match="the assistant was closed"):
                reply.result(SOON_S)
        answer.set()
        assert until(lambda: not turn_threads())
    assert not ran


def test_a_turn_cannot_be_asked_for_inside_a_turn_of_the_same_assistant() -> None:
    box: list[Assistant] = []

    def ask_again() -> str:
        return box[0].ask("again").text

    with scripted("Action: ask_again()", "System: x", tools=[ask_again]) as assistant:
        box.append(assistant)
        reply = assistant.ask("go")
        assert not reply.calls[0].ok
        assert "inside a turn of the same assistant" in reply.calls[0].text
        assert reply.text == "x"


def test_a_tool_may_ask_another_assistant_but_no_ring_of_them() -> None:
    boxes: dict[str, Assistant] = {}

    def ask_other() -> str:
        return boxes["other"].ask("hi").text

    def ask_first() -> str:
        return boxes["first"].ask("hi").text

    with (
        scripted("Action: ask_other()", "System: done", tools=[ask_other]) as first,
        scripted("Action: ask_first()", "System: fine", tools=[ask_first]) as other,
    ):
        boxes |= {"first": first, "other": other}
        reply = first.ask("go")
        assert (reply.calls[0].ok, reply.calls[0].text, reply.text) == (True, '"fine"', "done")
        assert "inside a turn" in other.messages[2].text


def test_a_turn_may_be_asked_for_while_another_is_read() -> None:
    with scripted("System: one", "System: two") as assistant:
        inner = [assistant.ask("b").text for event in assistant.send("a") if isinstance(event, TurnDone)]
        assert inner == ["two"]


def test_what_approve_raises_reaches_the_asker_and_the_call_does_not_run() -> None:
    ran: list[str] = []

    def act() -> None:
        ran.append("act")

    def approve(_call: ToolCall) -> bool:
        raise LookupError("the window is gone")

    with scripted("Action: act()", "System: well", tools=[act], approve=approve) as assistant:
        with pytest.raises(LookupError, match="the window is gone"):
            assistant.ask("go")
        assert (ran, assistant.messages) == ([], ())
        assert assistant.ask("again").text == "well"


def test_approve_is_asked_in_the_turn_s_thread_and_its_no_is_read_by_the_model() -> None:
    threads: list[str] = []

    def approve(call: ToolCall) -> bool:
        threads.append(threading.current_thread().name)
        return call.arguments["what"] == "x"

    with scripted(CALL, "Action: look(what='y')", "System: ok", tools=[look], approve=approve) as assistant:
        reply = assistant.ask("go")
    assert [each.ok for each in reply.calls] == [True, False]
    assert "did not allow" in reply.calls[1].text
    assert threads == ["coalm-lite turns"] * 2


def test_a_tool_sees_its_asker_s_context() -> None:
    def whose() -> str:
        return OWN.get()

    with scripted("Action: whose()", "System: ok", tools=[whose]) as assistant:
        OWN.set("mine")
        assert assistant.ask("go").calls[0].text == '"mine"'


def test_ctrl_c_in_a_waiting_asker_cancels_its_turn() -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(SOON_S)

    with scripted("Action: interrupt()", "System: on we go", tools=[interrupt]) as assistant:
        with pytest.raises(KeyboardInterrupt):
            assistant.ask("go")
        assert until(lambda: not turn_threads())
        assert [message.role for message in assistant.messages] == ["user", "assistant", "tool", "assistant"]
        assert assistant.ask("still there?").text == "on we go"
