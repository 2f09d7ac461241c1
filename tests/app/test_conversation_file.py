from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.app.conversation_file import Conversation, load, save
from coalm_lite.errors import UsageError
from coalm_lite.types import Message, ToolCall

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.builds(ToolCall, TEXTS, st.dictionaries(TEXTS, VALUES, max_size=3))
TALK = Conversation(
    "m.gguf",
    "cra",
    "Be brief.",
    (
        Message("user", "Book Alm, zwölf Nächte"),
        Message("assistant", calls=(ToolCall("book", {"name": "Alm"}), ToolCall("book", {"name": "B"})), thought="hm"),
        Message("tool", '"RX7"'),
        Message("tool", '{"error": "full"}'),
        Message("assistant", "Booked."),
    ),
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    messages: list[Message] = []
    for _ in range(draw(st.integers(0, 4))):
        calls = tuple(draw(st.lists(CALLS, max_size=3)))
        messages.append(Message("user", draw(TEXTS)))
        messages.append(Message("assistant", draw(TEXTS), calls, draw(TEXTS)))
        messages += [Message("tool", draw(TEXTS)) for _ in calls]
    return Conversation(draw(TEXTS), draw(TEXTS), draw(TEXTS), tuple(messages))


@settings(max_examples=50, deadline=None)
@given(conversation=conversations())
def test_what_is_saved_is_loaded_equal(conversation: Conversation, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("talk") / "talk.json"
    save(path, conversation)
    assert load(path) == conversation
    assert [entry.name for entry in path.parent.iterdir()] == ["talk.json"]


def test_a_conversation_is_saved_over_an_older_one_and_over_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    save(path, TALK)
    save(path, Conversation("m", "cra", "", ()))
    assert load(path).messages == ()
    notes = tmp_path / "notes.json"
    notes.write_text('{"my": "notes"}')
    with pytest.raises(UsageError, match=r"notes\.json exists and is no conversation"):
        save(notes, TALK)
    assert notes.read_text() == '{"my": "notes"}'
    with pytest.raises(UsageError, match="exists and is no conversation"):
        save(tmp_path, TALK)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full's kin: a folder that cannot take files")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "talk.json", Path("/proc/talk.json"), tmp_path / "a\0b"):
        with pytest.raises(UsageError) as raised:
            save(place, TALK)
        assert repr(str(place))[1:-1] in raised.value.message
        assert raised.value.hint


def changed(**changes: object) -> dict[str, Any]:
    whole = {
        "format": "coalm-lite conversation",
        "version": 1,
        "model": "",
        "dialect": "",
        "system": "",
        "messages": [],
    }
    return whole | changes


USER: dict[str, object] = {"role": "user", "text": "hi"}
CALLED: dict[str, object] = {"role": "assistant", "calls": [{"name": "f", "arguments": {}}]}
RESULT: dict[str, object] = {"role": "tool", "text": "1"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ([], "the file: must be an object"),
        ({}, "no conversation of this version"),
        (changed(version=2), "no conversation of this version"),
        (changed(more=1), "the file: has the unknown key 'more'"),
        (changed(system=None), "system: must be a text"),
        (changed(messages={}), "messages: must be a list"),
        (changed(messages=["hi"]), "messages[0]: must be an object"),
        (changed(messages=[{"role": "system", "text": ""}]), "messages[0].role: 'system' is not"),
        (changed(messages=[{"text": ""}]), "messages[0].role: None is not"),
        (changed(messages=[USER | {"text": 3}]), "messages[0].text: must be a text"),
        (changed(messages=[USER | {"mood": 3}]), "messages[0]: has the unknown key 'mood'"),
        (changed(messages=[CALLED | {"calls": 3}, RESULT]), "messages[0].calls: must be a list"),
        (changed(messages=[CALLED | {"calls": [{"name": "f"}]}]), "messages[0].calls[0].arguments: must be an object"),
        (changed(messages=[CALLED | {"calls": [{"name": 1, "arguments": {}}]}]), "calls[0].name: must be a text"),
        (changed(messages=[RESULT]), "messages[0]: a result stands after its call"),
        (changed(messages=[CALLED, USER]), "messages[1]: a result stands after its call"),
        (changed(messages=[CALLED, RESULT, RESULT]), "messages[2]: a result stands after its call"),
        (changed(messages=[CALLED]), "messages: the last calls lack 1 results"),
        (changed(messages=[CALLED | {"calls": [{"name": "f", "arguments": {"x": float("inf")}}]}, RESULT]), "no JSON"),
        (changed(system="\ud800"), "no JSON"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(content: object, place: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as raised:
        load(path)
    assert place in raised.value.message
    assert str(path) in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("data", [b"", b"no json", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_bytes(data)
    with pytest.raises(UsageError, match=r"talk\.json is no JSON"):
        load(tmp_path / "talk.json")


def test_a_file_that_is_not_there_or_far_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "talk.json")
    with (tmp_path / "large.json").open("wb") as file:
        os.truncate(file.fileno(), 100 << 20)
    with pytest.raises(UsageError, match="too large"):
        load(tmp_path / "large.json")
