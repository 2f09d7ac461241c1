"""The turn loop, on a scripted engine: what is said, called, observed, kept and refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence

import pytest

from coalm_lite.decoding.desk import EngineDesk
from coalm_lite.errors import ContextFullError, MalformedOutputError, SchemaError, TruncatedOutputError
from coalm_lite.models import shipped_model_path
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox, tool_from_schema
from coalm_lite.types import (
    CallStarted,
    Event,
    Message,
    Observation,
    Sampling,
    TextDelta,
    ToolCall,
    TurnDone,
)


def find_bus(city: str, seats: int = 1) -> dict[str, object]:
    """Find a bus.

    Args:
        city: where it goes
    """
    if city == "Nowhere":
        raise ValueError("no bus goes to 'Nowhere'")
    return {"city": city, "seats": seats}


def session(*replies: str, **options: object) -> Session:
    engine = ScriptedEngine(replies, context_tokens=4096)
    return Session(engine, Toolbox([find_bus]), **options)  # type: ignore[arg-type]  # the tests' own options


def turn(talk: Session, text: str) -> list[Event]:
    return list(talk.send(text))


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def scripted(talk: Session) -> ScriptedEngine:
    """The engine that the session talks to."""
    assert isinstance(talk.desk, EngineDesk)
    assert isinstance(talk.desk.engine, ScriptedEngine)
    return talk.desk.engine


def test_an_answer_streams_without_its_label_and_ends_with_its_cost() -> None:
    talk = session("System: Hello, where to?")
    events = turn(talk, "hi")
    assert text_of(events) == "Hello, where to?"
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert (done.text, done.reason) == ("Hello, where to?", "stop")
    assert done.timings.steps == 1
    assert done.timings.generated_tokens > 0
    assert talk.messages == [Message("user", "hi"), Message("assistant", "Hello, where to?")]


def test_a_call_runs_is_observed_and_read_in_the_next_step() -> None:
    talk = session("Action: find_bus(city='Davis', seats=2)", "System: A bus goes to Davis.")
    events = turn(talk, "a bus to Davis for 2")
    call = ToolCall("find_bus", {"city": "Davis", "seats": 2})
    assert events[0] == CallStarted(call)
    assert events[1] == Observation(call, '{"city": "Davis", "seats": 2}')
    assert text_of(events) == "A bus goes to Davis."
    engine = scripted(talk)
    assert (
        'Action: find_bus(city=\'Davis\', seats=2)\nObservation: {"city": "Davis", "seats": 2}\n' in engine.prompts[1]
    )


def test_several_calls_of_one_step_all_run_in_order() -> None:
    talk = session("Action: find_bus(city='A')\nAction: find_bus(city='B')", "System: Two buses.")
    calls = [event.call.arguments["city"] for event in turn(talk, "both") if isinstance(event, CallStarted)]
    assert calls == ["A", "B"]
    assert [message.role for message in talk.messages] == ["user", "assistant", "tool", "tool", "assistant"]


def test_a_tool_that_raises_is_an_observation_the_model_reads() -> None:
    talk = session("Action: find_bus(city='Nowhere')", "System: There is none.")
    observed = [event for event in turn(talk, "go") if isinstance(event, Observation)]
    assert not observed[0].ok
    assert json.loads(observed[0].text) == {"error": "ValueError: no bus goes to 'Nowhere'"}
    assert text_of(turn(session("System: ok"), "go")) == "ok"


def test_a_denied_call_never_runs_and_the_model_reads_that() -> None:
    asked: list[ToolCall] = []

    def deny(call: ToolCall) -> bool:
        asked.append(call)
        return False

    talk = session("Action: find_bus(city='Davis')", "System: As you wish.", approve=deny)
    events = turn(talk, "go")
    assert [call.name for call in asked] == ["find_bus"]
    assert not [event for event in events if isinstance(event, CallStarted)]
    assert "did not allow" in talk.messages[2].text


def test_an_invalid_call_is_never_started_or_approved() -> None:
    talk = session("Action: find_bus(town='Davis')", "System: Which city?", approve=lambda call: pytest.fail("asked"))
    events = turn(talk, "go")
    observed = [event for event in events if isinstance(event, Observation)]
    assert not [event for event in events if isinstance(event, CallStarted)]
    assert not observed[0].ok
    assert "town" in observed[0].text


def test_the_loop_is_bounded() -> None:
    talk = session(*["Action: find_bus(city='Davis')"] * 3, max_steps=3)
    done = turn(talk, "go")[-1]
    assert isinstance(done, TurnDone)
    assert done.reason == "steps"
    assert done.timings.steps == 3


def test_no_call_starts_after_a_cancel_not_even_an_allowed_one() -> None:
    cancel = Cancel()

    def allow(call: ToolCall) -> bool:
        if call.arguments["city"] == "B":
            cancel.set()
        return True

    talk = session("\n".join(f"Action: find_bus(city='{city}')" for city in "ABC"), "System: no", approve=allow)
    events = list(talk.send("all", cancel))
    assert [event.call.arguments["city"] for event in events if isinstance(event, CallStarted)] == ["A"]
    observed = [event for event in events if isinstance(event, Observation)]
    assert [event.ok for event in observed] == [True, False, False]
    assert "stopped" in observed[1].text
    assert isinstance(done := events[-1], TurnDone)
    assert done.reason == "cancelled"
    assert len(scripted(talk).prompts) == 1


def test_a_tool_that_runs_when_the_turn_is_cancelled_is_not_waited_for() -> None:
    cancel, leave = Cancel(), threading.Event()

    def slow() -> str:
        cancel.set()
        leave.wait(30)
        return "late"

    talk = Session(ScriptedEngine(["Action: slow()", "System: no"]), Toolbox([slow]))
    began = time.monotonic()
    events = list(talk.send("go", cancel))
    assert time.monotonic() - began < 10
    leave.set()
    observed = events[1]
    assert isinstance(observed, Observation)
    assert not observed.ok
    assert "stopped before slow had a result" in observed.text
    assert [message.role for message in talk.messages] == ["user", "assistant", "tool", "assistant"]


def test_a_cancelled_turn_keeps_the_words_that_were_seen() -> None:
    talk = session("System: one two three four five six", "System: still here")
    cancel = Cancel()
    seen = ""
    for event in talk.send("count", cancel):
        if isinstance(event, TextDelta):
            seen += event.text
            cancel.set()
        elif isinstance(event, TurnDone):
            assert event.reason == "cancelled"
    assert talk.messages[-1] == Message("assistant", seen)
    assert 0 < len(seen) < len("one two three four five six")
    assert text_of(turn(talk, "and now?")) == "still here"


def test_a_full_context_is_an_error_and_the_conversation_is_as_before() -> None:
    talk = session("System: fine", "System: fine again")
    turn(talk, "hi")
    before = list(talk.messages)
    with pytest.raises(ContextFullError):
        turn(talk, "word " * 2000)
    assert talk.messages == before
    assert text_of(turn(talk, "still there?")) == "fine again"


def test_a_malformed_step_is_an_error_and_finished_steps_stay() -> None:
    talk = session("Action: find_bus(city='Davis')", "nonsense")
    with pytest.raises(MalformedOutputError):
        turn(talk, "go")
    assert [message.role for message in talk.messages] == ["user", "assistant", "tool"]


def test_a_step_cut_by_the_token_limit_says_how_to_allow_more() -> None:
    talk = session("Action: find_bus(city='Davis')", sampling=Sampling(max_tokens=12))
    with pytest.raises(TruncatedOutputError) as raised:
        turn(talk, "go")
    assert "12 tokens" in raised.value.hint
    assert talk.messages == []


def test_a_call_that_was_only_completed_at_the_token_limit_does_not_run() -> None:
    """Its text is valid, for the decoder ends it in time; the model meant another call."""

    def find_hotels(area: str, pricerange: str = "") -> list[str]:
        raise AssertionError(f"ran with {area!r}, {pricerange!r}")

    with LlamaEngine.load(shipped_model_path("coalm-nano.Q8_0.gguf"), threads=1, context_tokens=1024) as engine:
        talk = Session(engine, Toolbox([find_hotels]), sampling=Sampling(max_tokens=9))
        with pytest.raises(TruncatedOutputError) as raised:
            turn(talk, "a cheap hotel in the north")
    assert "9 tokens" in raised.value.hint and "the call of find_hotels was not written" in raised.value.message
    assert talk.messages == []


def test_a_schema_that_cannot_be_held_is_refused_when_the_session_begins() -> None:
    schema = {
        "name": "odd",
        "parameters": {
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 2}},
            "required": ["n"],
        },
    }
    tools = Toolbox([tool_from_schema(schema, lambda n: n)])  # type: ignore[arg-type]  # a plain dict is JSON
    with pytest.raises(SchemaError) as raised:
        Session(ScriptedEngine([]), tools)
    assert "odd" in raised.value.message
    assert "/properties/n" in raised.value.message
    assert "maximum" in raised.value.message


def test_the_system_text_is_in_every_prompt_and_reset_forgets_the_rest() -> None:
    talk = session("System: a", "System: b", system="Be brief.")
    turn(talk, "first words")
    talk.reset()
    turn(talk, "second words")
    engine = scripted(talk)
    assert all("Be brief." in prompt for prompt in engine.prompts)
    assert "first words" not in engine.prompts[1]
