from __future__ import annotations

import json
from pathlib import Path

import pytest

from coalm_lite import dialects
from coalm_lite.converters.calibration.talk import Conversation, conversations
from coalm_lite.converters.calibration.texts import made_here, read_calibration
from coalm_lite.errors import UsageError
from coalm_lite.tools.schema import schema_reader
from coalm_lite.types import Message, Segment, ToolCall, ToolSpec

COUNT = 210


@pytest.fixture(scope="module")
def made() -> tuple[Conversation, ...]:
    return conversations(1, COUNT)


def text_of(prompt: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in prompt)


def test_a_seed_gives_the_same_conversations_and_another_one_others(made: tuple[Conversation, ...]) -> None:
    assert conversations(1, COUNT) == made
    assert conversations(1, 20) == made[:20]
    assert conversations(2, 20) != made[:20]


def test_the_texts_are_the_same_on_every_machine() -> None:
    assert made_here(short=False).name == "coalm-lite function calls, seed 1, sha256 6377ffd143306d5b"
    assert made_here(short=True).name == "coalm-lite short function calls, seed 1, sha256 2738837073859190"


def test_the_name_fits_into_what_llama_quantize_keeps_of_it() -> None:
    assert all(len(made_here(short).name.encode()) <= 127 for short in (False, True))


def test_all_dialects_occur_and_no_two_conversations_are_alike(made: tuple[Conversation, ...]) -> None:
    assert {conversation.dialect for conversation in made} == set(dialects.NAMES)
    assert len({text_of(conversation.prompt(short=False)) for conversation in made}) == COUNT


def test_every_reply_is_one_that_its_dialect_reads_back(made: tuple[Conversation, ...]) -> None:
    for conversation in made:
        dialect, reply = dialects.get(conversation.dialect), conversation.messages[-1]
        assert dialect.parse(dialect.render_reply(reply)) == reply


def test_every_call_is_valid_for_the_tools_at_hand(made: tuple[Conversation, ...]) -> None:
    for conversation in made:
        if conversation.dialect == "dst":
            continue  # a state holds what was said, and need not be complete
        readers = {tool.name: schema_reader(tool) for tool in conversation.tools}
        for message in conversation.messages:
            for call in message.calls:
                readers[call.name](call.arguments)


def test_a_state_has_only_slots_of_its_domains(made: tuple[Conversation, ...]) -> None:
    for conversation in made:
        slots = {tool.name: tool.parameters["properties"] for tool in conversation.tools}
        for call in conversation.messages[-1].calls if conversation.dialect == "dst" else ():
            properties = slots[call.name]
            assert isinstance(properties, dict)
            assert {*call.arguments} <= {*properties}


def test_arguments_of_single_requests_were_said(made: tuple[Conversation, ...]) -> None:
    for conversation in made:
        if conversation.dialect in ("hammer", "bfcl"):
            for call in conversation.messages[-1].calls:
                said = [value for value in call.arguments.values() if isinstance(value, str)]
                assert all(value in conversation.messages[0].text for value in said)


def test_there_are_abstentions_and_talks_of_several_turns(made: tuple[Conversation, ...]) -> None:
    requests = [talk for talk in made if talk.dialect in ("hammer", "bfcl")]
    silent = [talk for talk in requests if not talk.messages[-1].calls]
    assert 0.15 < len(silent) / len(requests) < 0.45
    turns = [sum(message.role == "user" for message in talk.messages) for talk in made if talk.dialect == "cra"]
    assert max(turns) >= 3
    assert min(turns) == 1


def test_markers_are_special_and_the_turn_ends(made: tuple[Conversation, ...]) -> None:
    prompt = made[0].prompt(short=False)
    assert prompt[0] == Segment("<|begin_of_text|>", marker=True)
    assert prompt[-1] == Segment("<|eot_id|>", marker=True)


def test_short_instructions_are_those_of_the_embedded_model(made: tuple[Conversation, ...]) -> None:
    for conversation in made[:14]:
        assert len(text_of(conversation.prompt(short=True))) < len(text_of(conversation.prompt(short=False)))


def test_a_text_is_one_plain_segment_without_its_last_line_break(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_bytes(b"<|eot_id|>One.\r\n\nTwo.\n\n")
    read = read_calibration(path, short=False)
    assert read.prompts == ((Segment("<|eot_id|>One.\r\n\nTwo.\n"),),)
    assert read.name.startswith("talk.txt, sha256 ")


def test_json_lines_hold_texts_and_conversations(tmp_path: Path) -> None:
    tool = {"name": "find_hotels", "parameters": {"type": "object", "properties": {"area": {"type": "string"}}}}
    conversation = {
        "dialect": "hammer",
        "tools": [tool],
        "messages": [
            {"role": "user", "text": "A hotel in the north."},
            {"role": "assistant", "calls": [{"name": "find_hotels", "arguments": {"area": "north"}}]},
        ],
    }
    path = tmp_path / "talk.JSONL"
    path.write_text(f"{json.dumps({'text': 'Good morning.'})}\n\n{json.dumps(conversation)}\n")
    text, talk = read_calibration(path, short=True).prompts
    assert text == (Segment("<|begin_of_text|>", marker=True), Segment("Good morning."))
    properties = {"type": "object", "properties": {"area": {"type": "string"}}}
    messages = (
        Message("user", "A hotel in the north."),
        Message("assistant", calls=(ToolCall("find_hotels", {"area": "north"}),)),
    )
    assert talk == Conversation("hammer", (ToolSpec("find_hotels", "", properties),), messages).prompt(short=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: Invalid JSON"),
        ("[]", "line 2: Input should be an object"),
        ("{}", "line 2: Value error, has either a text or messages"),
        ('{"text": "a", "messages": []}', "line 2: Value error, has either a text or messages"),
        ('{"text": "a", "tools": []}', "line 2: Value error, has no other keys beside a text"),
        ('{"text": 7}', "line 2: text: Input should be a valid string"),
        ('{"text": "a", "label": 1}', "line 2: label: Extra inputs are not permitted"),
        ('{"messages": [{"role": "user", "text": "a"}]}', "line 2: Value error, has two messages or more"),
        ('{"messages": [{"role": "user"}, {"role": "user"}]}', "line 2: Value error, has two messages or more"),
        ('{"messages": [{"role": "me"}, {"role": "assistant"}]}', "line 2: messages.0.role: Input should be"),
        (
            '{"messages": [{"role": "user"}, {"role": "assistant", "calls": [{"arguments": {}}]}]}',
            "line 2: messages.1.calls.0.name: Field required",
        ),
        (
            '{"dialect": "xml", "messages": [{"role": "user"}, {"role": "assistant"}]}',
            "line 2: unknown dialect 'xml'",
        ),
        (
            '{"tools": [{"parameters": {}}], "messages": [{"role": "user"}, {"role": "assistant"}]}',
            "line 2: the tool has no 'name'",
        ),
        (
            '{"tools": [{"name": "f", "parameters": {"type": "objekt"}}], "messages": '
            '[{"role": "user"}, {"role": "assistant"}]}',
            "line 2: tool 'f'",
        ),
    ],
)
def test_a_wrong_line_is_named_with_its_number(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(UsageError) as caught:
        read_calibration(path, short=False)
    assert words in caught.value.message
    assert caught.value.message.startswith(str(path))
    assert caught.value.hint


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    with pytest.raises(UsageError, match="No such file"):
        read_calibration(path, short=False)
    with pytest.raises(UsageError, match="Is a directory"):
        read_calibration(tmp_path, short=False)
    path.write_bytes(b"abc\xff")
    with pytest.raises(UsageError, match="byte 3 is not UTF-8"):
        read_calibration(path, short=False)
    path.write_bytes(b"\n")
    with pytest.raises(UsageError, match="holds no text"):
        read_calibration(path, short=False)
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(UsageError, match="has 67108865 bytes, more than 67108864"):
        read_calibration(path, short=False)
