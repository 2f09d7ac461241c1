"""The training conversations: made from the demo tools as they are, every call valid, replies readable."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from coalm_lite.demo import tools
from coalm_lite.dialects import get
from coalm_lite.tools import Toolbox
from coalm_lite.types import Message
from nano import copying
from nano.demo_tools import DEMO_TOOLS
from nano.multiwoz import Dialogue, Turn, natural_text, state_example
from nano.requests import REQUESTS, SMALL_TALK
from nano.town_talk import conversation


@pytest.fixture(scope="module")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Toolbox:
    return Toolbox(tools(tmp_path_factory.mktemp("demo") / "demo.sqlite3"))


def parameters(schema: object) -> list[str]:
    assert isinstance(schema, dict)
    return list(schema["properties"])


def test_the_prompts_show_the_demo_tools_as_they_are(toolbox: Toolbox) -> None:
    shown = [(tool.name, parameters(tool.parameters)) for tool in DEMO_TOOLS]
    assert shown == [(tool.name, parameters(tool.parameters)) for tool in toolbox.specs]


def test_every_call_of_a_made_up_conversation_is_valid(toolbox: Toolbox) -> None:
    seen = set()
    for seed in range(300):
        for step in conversation(random.Random(seed)).steps:
            for call in step.reply.calls:
                assert toolbox.validate(call).arguments == call.arguments
                seen.add(call.name)
    assert seen == {tool.name for tool in DEMO_TOOLS}


def test_every_reply_is_read_back_equal() -> None:
    cra = get("cra")
    for seed in range(100):
        for step in conversation(random.Random(seed)).steps:
            assert cra.parse(cra.render_reply(step.reply)) == step.reply


def test_the_same_seed_gives_the_same_conversation() -> None:
    assert conversation(random.Random(5)) == conversation(random.Random(5))


def test_the_single_requests_are_valid_calls_and_hardly_ever_training_sentences(toolbox: Toolbox) -> None:
    said = {
        message.text.lower().rstrip(".?!")
        for seed in range(500)
        for message in conversation(random.Random(seed)).steps[-1].messages
        if message.role == "user"
    }
    for text, call in REQUESTS:
        assert toolbox.validate(call).arguments == call.arguments, text
    seen = [text for text, _ in REQUESTS if text.lower().rstrip(".?!") in said]
    assert len(seen) <= len(REQUESTS) // 10, seen
    assert len(SMALL_TALK) >= 15


def test_a_state_example_tells_what_each_turn_changes() -> None:
    turns = (
        Turn("", "a hotel", {"hotel-type": "hotel"}, "where ?"),
        Turn("where ?", "north", {"hotel-type": "hotel", "hotel-area": "north"}, ""),
    )
    example = state_example(Dialogue("x", turns))
    assert [get("dst").render_reply(step.reply) for step in example.steps] == [
        '[{"domain": "hotel", "slot_values": {"type": "hotel"}}]',
        '[{"domain": "hotel", "slot_values": {"area": "north"}}]',
    ]
    assert example.steps[1].messages == (
        Message("user", "a hotel"),
        Message("assistant", "where ?"),
        Message("user", "north"),
    )


def test_made_up_values_stand_in_the_request_word_for_word() -> None:
    for seed in range(200):
        example = copying.example(random.Random(seed))
        request = example.steps[0].messages[0].text
        call = example.steps[0].reply.calls[0]
        assert call.arguments
        assert all(str(value) in request for value in call.arguments.values())
        assert call.name in request


def test_normalised_text_becomes_natural() -> None:
    assert natural_text("i m here . what s up , i think ?") == "I'm here. What's up, I think?"


def test_training_reads_no_evaluation_rows() -> None:
    source = (Path(__file__).parents[2] / "nano" / "data.py").read_text(encoding="utf-8")
    assert "test_a" not in source and "dev" not in source.replace("No dev or test row", "")
