from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.errors import ContextFullError
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.trimming import first_shown
from coalm_lite.types import Message, Sampling, Trimmed, TurnDone

talks = st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.integers(1, 60)), min_size=1, max_size=20)


@given(talk=talks, start=st.integers(0, 5), context=st.integers(20, 400), most=st.integers(1, 300))
def test_whole_exchanges_go_and_the_last_one_stays(
    talk: list[tuple[str, int]], start: int, context: int, most: int
) -> None:
    messages = [Message("user"), *(Message(role) for role, _ in talk)]  # type: ignore[arg-type]
    sizes = [10, *(size for _, size in talk)]
    start = max(n for n in range(min(start, len(talk)) + 1) if messages[n].role == "user")
    shown = first_shown(messages, start, lambda first: sum(sizes[first:]), context, most)
    last = max(n for n, message in enumerate(messages) if message.role == "user")
    assert start <= shown <= last
    assert messages[shown].role == "user"
    room = context - min(most, context // 4)
    if sum(sizes[start:]) <= room:
        assert shown == start
    elif shown != last:
        assert sum(sizes[shown:]) <= 0.75 * room


def test_a_long_conversation_goes_on_and_says_what_the_model_does_not_see() -> None:
    engine = ScriptedEngine(["System: " + letter * 60 for letter in "abcdefgh"], context_tokens=1300)
    talk = Session(engine, Toolbox([]), system="Be brief.", sampling=Sampling(max_tokens=80))
    hidden = []
    for number in range(8):
        *events, done = talk.send(f"request {number}")
        assert isinstance(done, TurnDone)
        hidden += [event.messages for event in events if isinstance(event, Trimmed)]
    assert hidden
    assert hidden == sorted(hidden)
    assert talk.hidden_messages == hidden[-1]
    assert len(talk.messages) == 16
    assert "request 0" in engine.prompts[0]
    assert "request 0" not in engine.prompts[-1]
    assert all("Be brief." in prompt and f"request {number}" in prompt for number, prompt in enumerate(engine.prompts))
    talk.reset()
    assert talk.hidden_messages == 0


def test_what_must_not_be_cut_and_does_not_fit_is_an_error() -> None:
    talk = Session(ScriptedEngine(["System: a", "System: b"], context_tokens=1500), Toolbox([]))
    assert isinstance([*talk.send("short")][-1], TurnDone)
    with pytest.raises(ContextFullError):
        [*talk.send("long " * 400)]
    assert len(talk.messages) == 2
