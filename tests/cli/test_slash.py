from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.cli.slash import Chat, obey
from coalm_lite.errors import UsageError
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import TurnDone


def weather(day: str, town: str = "Marlowick") -> str:
    """The weather of a day."""
    return f"sun in {town} on {day}"


@pytest.fixture
def chat() -> Chat:
    engine = ScriptedEngine(["Action: weather(day='friday')", "System: Sun.", "System: Yes."], 16384)
    return Chat(Session(engine, Toolbox([weather]), system="Be brief."), "m.gguf")


def talk(chat: Chat, text: str) -> None:
    *_, done = chat.session.send(text)
    assert isinstance(done, TurnDone)
    chat.turns.append(done)


def test_help_names_every_command_and_the_keys(chat: Chat) -> None:
    shown = obey("/help", chat)
    for usage in ("/help", "/tools", "/system [TEXT]", "/save FILE", "/load FILE", "/reset", "/stats", "/quit"):
        assert usage in shown
    for key in ("Esc Enter", "backslash", "Ctrl-C", "Ctrl-D"):
        assert key in shown


def test_tools_are_listed_with_arguments_and_description(chat: Chat) -> None:
    assert obey("/tools", chat) == "weather(day, town): The weather of a day."
    assert obey("/tools", Chat(Session(ScriptedEngine([]), Toolbox([])), "m")) == "no tools"


def test_the_system_text_is_shown_set_and_cleared(chat: Chat) -> None:
    assert obey("/system", chat) == "system: Be brief."
    assert obey("/system  Be long,\nand clear. ", chat) == "system: Be long,\nand clear."
    assert chat.session.system == "Be long,\nand clear."
    assert obey('/system ""', chat) == "there is no system text"
    assert chat.session.system == ""


def test_a_saved_conversation_goes_on_in_another_chat(chat: Chat, tmp_path: Path) -> None:
    talk(chat, "Weather on Friday?")
    before = list(chat.session.messages)
    path = tmp_path / "my talk.json"
    assert obey(f"/save {path}", chat) == f"saved 4 messages in {path}"
    other = Chat(Session(ScriptedEngine(["System: Yes."], 16384), Toolbox([weather])), "other")
    talk_before = obey(f"/load {path}", other)
    assert talk_before.startswith(f"loaded 4 messages from {path}")
    assert (other.session.messages, other.session.system) == (before, "Be brief.")
    talk(other, "Sure?")
    assert [message.text for message in other.session.messages[-2:]] == ["Sure?", "Yes."]


def test_a_failed_load_leaves_the_conversation_as_it_was(chat: Chat, tmp_path: Path) -> None:
    talk(chat, "Weather on Friday?")
    before = list(chat.session.messages)
    (tmp_path / "bad.json").write_text("{}")
    for words in ("bad.json", "none.json"):
        with pytest.raises(UsageError):
            obey(f"/load {tmp_path / words}", chat)
    assert chat.session.messages == before


def test_a_file_may_lie_in_the_home_folder(chat: Chat, _own_home: Path) -> None:
    obey("/save ~/talk.json", chat)
    assert (_own_home / "talk.json").is_file()


def test_reset_forgets_the_conversation_and_keeps_system_and_tools(chat: Chat) -> None:
    talk(chat, "Weather on Friday?")
    obey("/reset", chat)
    assert chat.session.messages == []
    assert obey("/stats", chat) == "nothing was answered yet"
    assert obey("/system", chat) == "system: Be brief."


def test_stats_tell_the_last_turn_and_all(chat: Chat) -> None:
    talk(chat, "Weather on Friday?")
    talk(chat, "Sure?")
    shown = obey("/stats", chat)
    assert "last turn: 1 step, prompt " in shown
    assert " of 16384 tokens in its last prompt" in shown
    assert "all 2 turns: " in shown


def test_quit_ends_the_chat(chat: Chat) -> None:
    obey("/quit", chat)
    assert chat.finished


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("/hlep", "there is no command /hlep", "Did you mean /help?"),
        ("/xyz now", "there is no command /xyz", "/help lists the commands."),
        ("/", "there is no command /", "put a space before it"),
        ("/ help", "there is no command /", "put a space before it"),
        ("/save", "the file's name is missing", "/save FILE"),
        ("/load  ", "the file's name is missing", "/load FILE"),
    ],
)
def test_a_wrong_command_says_what_is_right(chat: Chat, line: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        obey(line, chat)
    assert raised.value.message == message
    assert hint in raised.value.hint
