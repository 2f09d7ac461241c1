"""The assistant under asyncio: a loop that never waits, tasks that are cancelled, approval that is awaited."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest

from coalm_lite.errors import AnswerCancelledError, DecodingError
from coalm_lite.types import Message, TextDelta, ToolCall, TurnDone
from tests.app.talking import SOON_S, PacedEngine, scripted, turn_threads, until


async def came_true(condition: object) -> bool:
    """`until`, off the loop."""
    return await asyncio.to_thread(until, condition)  # type: ignore[arg-type]


def look(what: str) -> str:
    """Look at something."""
    return f"{what} is there"


def test_tasks_get_their_own_answers_in_the_order_in_which_they_asked() -> None:
    count = 50
    script = [text for n in range(count) for text in (f"Action: look(what='{n}')", f"System: it is {n}")]
    with scripted(*script, tools=[look]) as assistant:

        async def ask_all() -> None:
            replies = await asyncio.gather(*(assistant.aask(str(n)) for n in range(count)))
            assert [reply.text for reply in replies] == [f"it is {n}" for n in range(count)]
            assert [reply.calls[0].text for reply in replies] == [f'"{n} is there"' for n in range(count)]

        before = threading.active_count()
        asyncio.run(ask_all())
        assert until(lambda: threading.active_count() <= before)
        assert [m.text for m in assistant.messages if m.role == "user"] == [str(n) for n in range(count)]


def test_the_loop_goes_on_while_a_turn_waits_for_the_engine() -> None:
    engine = PacedEngine(["System: slow"])
    with scripted(engine=engine) as assistant:

        async def talk() -> str:
            asked = asyncio.create_task(assistant.aask("hi"))
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert not asked.done()
            engine.leave.release(100)
            return (await asked).text

        assert asyncio.run(talk()) == "slow"


@pytest.mark.parametrize("how", ["cancel", "break", "aclose"])
def test_a_task_that_leaves_its_turn_cancels_it_and_no_thread_stays(how: str) -> None:
    engine = PacedEngine(["System: one two three", "System: next"])
    with scripted(engine=engine) as assistant:
        seen: list[str] = []

        async def read() -> None:
            async for event in assistant.asend("count"):
                assert isinstance(event, TextDelta)
                seen.append(event.text)
                if how == "break":
                    return

        async def close_early() -> None:
            async with aclosing(assistant.asend("count")) as events:
                await anext(events)

        async def leave() -> None:
            engine.leave.release(len("System: "))
            task = asyncio.create_task(close_early() if how == "aclose" else read())
            if how == "cancel":
                assert await came_true(lambda: seen)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                await task
            assert await came_true(lambda: not turn_threads())

        asyncio.run(leave())
        assert assistant.messages == (Message("user", "count"), Message("assistant", "o"))
        engine.leave.release(100)
        assert assistant.ask("and now?").text == "next"


def test_a_task_that_is_cancelled_while_it_waits_leaves_nothing() -> None:
    engine = PacedEngine(["System: one", "System: two"])
    with scripted(engine=engine) as assistant:

        async def talk() -> None:
            first = asyncio.create_task(assistant.aask("first"))
            assert await came_true(lambda: len(assistant._turns._all()) == 1)
            second = asyncio.create_task(assistant.aask("second"))
            assert await came_true(lambda: len(assistant._turns._all()) == 2)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            engine.leave.release(100)
            assert (await first).text == "one"
            assert await came_true(lambda: not turn_threads())

        asyncio.run(talk())
        assert len(engine.prompts) == 1
        assert [message.text for message in assistant.messages] == ["first", "one"]


def test_a_timeout_of_asyncio_cancels_the_turn() -> None:
    engine = PacedEngine(["System: never", "System: next"])
    with scripted(engine=engine) as assistant:

        async def talk() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(assistant.aask("hi"), 0.05)
            assert await came_true(lambda: not turn_threads())

        asyncio.run(talk())
        engine.leave.release(100)
        assert assistant.ask("again").text == "next"


def test_closing_in_mid_turn_reaches_every_task() -> None:
    engine = PacedEngine(["System: one"])
    with scripted(engine=engine) as assistant:

        async def talk() -> list[object]:
            tasks = [asyncio.create_task(assistant.aask(str(n))) for n in range(5)]
            assert await came_true(lambda: len(assistant._turns._all()) == 5)
            await asyncio.to_thread(assistant.close)
            return list(await asyncio.gather(*tasks, return_exceptions=True))

        ends = asyncio.run(talk())
        assert [type(end) for end in ends] == [DecodingError] * 5


def test_a_loop_that_ends_in_mid_turn_cancels_it() -> None:
    engine = PacedEngine(["System: one two", "System: next"])
    with scripted(engine=engine) as assistant:

        async def leave() -> None:
            engine.leave.release(len("System: "))
            asyncio.get_running_loop().create_task(assistant.aask("count")).add_done_callback(lambda _: None)
            assert await came_true(lambda: engine.written >= len("System: "))

        asyncio.run(leave())
        assert until(lambda: not turn_threads())
        engine.leave.release(100)
        assert assistant.ask("and now?").text == "next"


def test_an_async_approve_is_awaited_on_the_asker_s_loop() -> None:
    where: list[object] = []

    async def approve(call: ToolCall) -> bool:
        await asyncio.sleep(0.001)
        where.append(asyncio.get_running_loop())
        return call.arguments["what"] == "x"

    script = ["Action: look(what='x')", "Action: look(what='y')", "System: ok"]
    with scripted(*script, *script, tools=[look], approve=approve) as assistant:

        async def talk() -> None:
            reply = await assistant.aask("go")
            assert [each.ok for each in reply.calls] == [True, False]
            assert where == [asyncio.get_running_loop()] * 2

        asyncio.run(talk())
        assert [each.ok for each in assistant.ask("from a thread").calls] == [True, False]
        assert len(where) == 4
        assert where[2] is not where[0]


@pytest.mark.parametrize("asker", ["task", "thread"])
def test_an_async_approve_is_cancelled_with_its_turn_and_the_call_does_not_run(asker: str) -> None:
    ran: list[str] = []
    ends: list[str] = []
    asked = threading.Event()

    def act() -> None:
        ran.append("act")

    async def approve(_call: ToolCall) -> bool:
        asked.set()
        try:
            await asyncio.sleep(SOON_S)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        return True

    with scripted("Action: act()", "System: x", tools=[act], approve=approve) as assistant:

        async def talk() -> str:
            ask = assistant.aask("go") if asker == "task" else asyncio.to_thread(assistant.ask, "go")
            task = asyncio.create_task(ask)
            assert await came_true(asked.is_set)
            assistant.cancel()
            return (await task).reason

        assert asyncio.run(talk()) == "cancelled"
        assert (ran, ends) == ([], ["cancelled"])


def test_what_an_async_approve_raises_reaches_the_task() -> None:
    async def approve(_call: ToolCall) -> bool:
        raise LookupError("the window is gone")

    with scripted(*["Action: look(what='x')"] * 2, tools=[look], approve=approve) as assistant:
        with pytest.raises(LookupError, match="the window is gone"):
            asyncio.run(assistant.aask("go"))
        with pytest.raises(LookupError, match="the window is gone"):
            assistant.ask("go")
        assert assistant.messages == ()


def test_values_can_be_asked_for_by_tasks_and_cancelled() -> None:
    engine = PacedEngine(['[{"name": "answer", "arguments": {"value": 3}}]', "lost"])
    with scripted(engine=engine) as assistant:
        engine.leave.release(100)
        assert asyncio.run(assistant.acall({"type": "integer"}, "three")) == 3
        while engine.leave.acquire(blocking=False):
            pass

        async def talk() -> None:
            task = asyncio.create_task(assistant.acall({"type": "integer"}, "three"))
            assert await came_true(lambda: len(engine.prompts) == 2)
            assistant.cancel()
            with pytest.raises(AnswerCancelledError):
                await task

        asyncio.run(talk())
        assert assistant.messages == ()


def test_events_come_one_by_one() -> None:
    engine = PacedEngine(["System: abc"])
    with scripted(engine=engine) as assistant:

        async def talk() -> list[object]:
            events: list[object] = []
            engine.leave.release(len("System: "))
            async for event in assistant.asend("hi"):
                events.append(event)
                engine.leave.release()
            return events

        events = asyncio.run(talk())
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["a", "b", "c"]
        assert isinstance(events[-1], TurnDone)
