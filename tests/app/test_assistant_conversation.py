"""The assistant's conversation: reset, saved, loaded, kept through a crash; and what it is made with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import coalm_lite
from coalm_lite.app.assistant import Assistant
from coalm_lite.cli.slash import Chat, obey
from coalm_lite.decoding.desk import EngineDesk
from coalm_lite.decoding.requests import Generated, Piece, Request
from coalm_lite.errors import EngineCrashed, ModelTooLargeError, SchemaError, UsageError
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Message, TurnDone
from tests.app.talking import PacedEngine, scripted

CALL = "Action: look(what='x')"


def look(what: str) -> str:
    """Look at something."""
    return f"{what} is there"


def test_a_reset_begins_anew_at_once_and_turns_before_it_end_where_they_were_asked() -> None:
    engine = PacedEngine(["System: old", "System: new"])
    with scripted(engine=engine, system="Be brief.") as assistant:
        engine.leave.release(len("System: o"))
        events = assistant.send("first")
        next(events)
        assistant.reset()
        assert assistant.messages == ()
        engine.leave.release(100)
        assert isinstance(done := list(events)[-1], TurnDone)
        assert done.text == "old"
        assert assistant.ask("second").text == "new"
        assert "first" not in engine.prompts[1]
        assert "Be brief." in engine.prompts[1]
        assert len(assistant.messages) == 2


def test_a_conversation_is_saved_and_loaded_by_an_assistant_and_by_a_chat(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    with scripted(CALL, "System: It is.", tools=[look], system="Be brief.") as assistant:
        assistant.ask("look")
        assistant.save(path)
        said = assistant.messages
    chat = Chat(Session(ScriptedEngine([]), Toolbox([])), "m")
    obey(f"/load {path}", chat)
    assert (tuple(chat.session.messages), chat.session.system) == (said, "Be brief.")
    chat.session.messages.append(Message("user", "more"))
    obey(f"/save {path}", chat)
    engine = ScriptedEngine(["System: on"], 16384)
    with scripted(engine=engine) as other:
        other.load(str(path))
        assert other.messages == (*said, Message("user", "more"))
        assert other.ask("go on").text == "on"
        assert "It is." in engine.prompts[0]
        assert other.system == "Be brief."
        with pytest.raises(UsageError, match="No such file"):
            other.load(tmp_path / "none.json")
        assert len(other.messages) == len(said) + 3


class CrashingDesk(EngineDesk):
    """A desk whose engine dies in the middle of its second answer."""

    answers = 0

    def answer(self, request: Request) -> Iterator[Piece | Generated]:  # type: ignore[override]
        self.answers += 1
        for part in super().answer(request):
            yield part
            if self.answers == 2:
                raise EngineCrashed("the engine's process died", "It starts again.")


def test_a_crashed_engine_is_raised_and_the_conversation_is_kept() -> None:
    desk = CrashingDesk(ScriptedEngine(["System: one", "System: lost", "System: two"], 16384))
    with Assistant(desk) as assistant:
        assistant.ask("a")
        before = assistant.messages
        with pytest.raises(EngineCrashed):
            assistant.ask("b")
        assert assistant.messages == before
        assert assistant.ask("b").text == "two"


def test_a_model_is_named_as_on_the_command_line(tmp_path: Path, nano_path: Path) -> None:
    with Assistant(isolate=False, threads=1) as default, Assistant(nano_path, isolate=False, threads=1) as by_path:
        assert default.model == "nano"
        assert by_path.model == nano_path.name
        assert default.info.context_tokens == by_path.info.context_tokens
    with pytest.raises(UsageError, match="no model called 'nanoo'"):
        Assistant("nanoo", isolate=False)
    with pytest.raises(ModelTooLargeError, match="max_memory_bytes"):
        Assistant("nano", isolate=False, max_memory_bytes=1 << 20)
    with pytest.raises(UsageError, match="unknown dialect"):
        Assistant("nano", isolate=False, dialect="latin")


def test_a_tool_that_cannot_be_held_is_refused_when_the_assistant_is_made() -> None:
    schema: coalm_lite.types.JsonObject = {
        "name": "f",
        "parameters": {
            "type": "object",
            "properties": {"x": {"type": "string", "minLength": 3, "maxLength": 1}},
            "required": ["x"],
        },
    }

    def f(x: str) -> None:
        pass

    with pytest.raises(SchemaError, match="minLength"), scripted(tools=[coalm_lite.tool_from_schema(schema, f)]):
        pass


@pytest.mark.parametrize(("text", "problem"), [(3, "not a text"), ("a\ud800", "half a character")])
def test_what_is_no_text_is_refused(text: str, problem: str) -> None:
    with scripted("System: x") as assistant:
        with pytest.raises(UsageError, match=problem):
            assistant.send(text)
        assert assistant.messages == ()
