from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.cli.wording import (
    RESULT_CHARACTERS,
    call_words,
    end_words,
    error_words,
    printable,
    result_words,
    timing_words,
    tool_count_words,
)
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Observation, Sampling, StopReason, Timings, ToolCall

CALL = ToolCall("find_hotels", {"area": "north", "stars": 4, "parking": True})


@settings(deadline=None)
@given(st.text())
def test_printable_text_can_be_encoded_and_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown.encode()) >= len(shown)
    controls = {chr(code) for code in (*range(32), *range(127, 160))} - {"\n", "\t"}
    assert controls.isdisjoint(shown)
    assert printable(shown) == shown


def test_printable_keeps_lines_accents_and_emoji_of_several_characters() -> None:
    text = "Zoë\tat 東京\n\N{FAMILY}\N{ZERO WIDTH JOINER}!"
    assert printable(text) == text
    assert printable("a\r\nb\x1b[31mred\x9b1m") == "a\nb\ufffd[31mred\ufffd1m"


def test_a_call_is_shown_on_one_line_with_its_arguments() -> None:
    assert call_words(CALL) == "find_hotels(area='north', stars=4, parking=True)"
    assert call_words(ToolCall("say", {"words": "one\ntwo\x1b[2J"})) == "say(words='one\\ntwo\\x1b[2J')"


def test_a_short_result_is_shown_whole_and_a_long_one_says_its_length() -> None:
    assert result_words(Observation(CALL, '{"count":\n 1}')) == '{"count": 1}'
    text = json.dumps(["hotel"] * 200)
    shown = result_words(Observation(CALL, text))
    assert shown == f"{text[:RESULT_CHARACTERS]}... ({len(text)} characters)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [('{"error": "no room"}', "no room"), ("no json", "no json"), ('{"other": 1}', '{"other": 1}'), ("[]", "[]")],
)
def test_a_failed_call_shows_why(text: str, shown: str) -> None:
    assert result_words(Observation(CALL, text, ok=False)) == shown


def test_an_error_has_its_hint_below() -> None:
    assert error_words("no such file\x07", "Check it.") == "error: no such file\ufffd\nhint: Check it."
    assert error_words("no", "") == "error: no"


@pytest.mark.parametrize("reason", get_args(StopReason))
def test_every_end_but_the_ordinary_one_is_told(reason: StopReason) -> None:
    session = Session(ScriptedEngine([]), Toolbox([]), sampling=Sampling(max_tokens=77), max_steps=66)
    words = end_words(session, reason)
    assert bool(words) == (reason != "stop")
    assert ("77" in words) == (reason == "length")
    assert ("66" in words) == (reason == "steps")


def test_timings_are_told_also_where_nothing_was_generated() -> None:
    timings = Timings(900, 600, 50, ttft_s=0.25, prefill_s=0.2, decode_s=0.5, total_s=0.75, steps=2)
    assert timing_words(timings) == (
        "2 steps, prompt 900 tokens, 600 reused in all steps, answer 50 tokens at 100.0/s,"
        " first token after 0.25 s, 0.75 s in all"
    )
    assert timing_words(Timings(steps=1)).startswith("1 step, prompt 0 tokens, 0 reused, ")


def test_tools_are_counted_in_words() -> None:
    assert [tool_count_words(count) for count in (0, 1, 9)] == ["no tools", "1 tool", "9 tools"]
