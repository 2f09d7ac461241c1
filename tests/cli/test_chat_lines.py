from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

from coalm_lite.cli.chat_lines import answer_lines
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Timings
from tests.cli.conftest import CommandLine, scripted

CALL = "Action: find_hotels(area='north', stars=3)"


def test_a_turn_with_a_call_is_call_result_text_done_in_this_order(command_line: CommandLine, hotels: Path) -> None:
    models = scripted(CALL, "System: The north inn.")
    outcome = command_line("chat", "m.gguf", "--json", "--yes", "--tools", str(hotels), stdin="hi\n", models=models)
    assert (outcome.code, outcome.err) == (0, "")
    call, result, *texts, done = outcome.events
    assert call == {"type": "tool_call", "name": "find_hotels", "arguments": {"area": "north", "stars": 3}}
    found = {"hotels": ["The north inn"], "stars": 3}
    assert result == {"type": "tool_result", "name": "find_hotels", "result": found}
    assert {event["type"] for event in texts} == {"text"}
    assert "".join(event["text"] for event in texts) == "The north inn."
    assert (done["type"], done["reason"], done["text"], done["steps"]) == ("done", "stop", "The north inn.", 2)
    assert set(Timings.__slots__) <= set(done)


def test_without_yes_the_call_is_shown_and_denied_and_nothing_runs(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(
        "from pathlib import Path\n"
        f"def touch(name: str) -> str:\n    Path({str(tmp_path)!r}, name).touch()\n    return name\n"
    )
    models = scripted("Action: touch(name='ran')", "System: I may not.")
    outcome = command_line(
        "chat", "m.gguf", "--json", "--tools", str(tmp_path / "tools.py"), stdin="go\n", models=models
    )
    call, result = outcome.events[:2]
    assert call == {"type": "tool_call", "name": "touch", "arguments": {"name": "ran"}}
    denied = {"error": "the user did not allow this call"}
    assert result == {"type": "tool_result", "name": "touch", "result": denied, "ok": False}
    assert outcome.events[-1]["text"] == "I may not."
    assert not (tmp_path / "ran").exists()


def test_a_call_that_fails_or_is_invalid_is_a_result_that_is_not_ok(command_line: CommandLine, hotels: Path) -> None:
    models = scripted("Action: book(name='full')\nAction: book(nme='x')", "System: Sorry.")
    outcome = command_line("chat", "m.gguf", "--json", "--yes", "--tools", str(hotels), stdin="hi\n", models=models)
    calls = [event for event in outcome.events if event["type"] == "tool_call"]
    results = [event for event in outcome.events if event["type"] == "tool_result"]
    assert [event["type"] for event in outcome.events[:4]] == ["tool_call", "tool_result"] * 2
    assert [call["arguments"] for call in calls] == [{"name": "full"}, {"nme": "x"}]
    assert [result["ok"] for result in results] == [False, False]
    assert results[0]["result"] == {"error": "ValueError: no room is left"}
    assert "nme" in results[1]["result"]["error"]


def test_an_error_is_an_event_and_the_loop_goes_on(command_line: CommandLine) -> None:
    models = scripted("nonsense", "System: Hello.")
    outcome = command_line("chat", "m.gguf", "--json", stdin="one\n\n   \ntwo\n", models=models)
    assert outcome.code == 0
    kinds = [event["type"] for event in outcome.events]
    assert kinds[0] == "error"
    assert kinds[-1] == "done"
    assert kinds.count("error") == kinds.count("done") == 1
    assert "nonsense" in outcome.events[0]["message"]
    assert set(outcome.events[0]) == {"type", "message", "hint"}
    assert "User: one" not in models.engines[0].prompts[1]


def test_a_line_that_is_no_utf8_is_an_error_of_its_own(command_line: CommandLine) -> None:
    stdin = b"caf\xe9\n" + "café\r\n".encode()
    models = scripted("System: Hello.")
    outcome = command_line("chat", "m.gguf", "--json", stdin=stdin, models=models)
    first, *_, last = outcome.events
    assert first["type"] == "error"
    assert "no UTF-8 at character 3" in first["message"]
    assert last["reason"] == "stop"
    assert "User: café\n" in models.engines[0].prompts[0]


def test_a_line_that_begins_with_a_slash_is_the_users_text(command_line: CommandLine) -> None:
    models = scripted("System: What?")
    outcome = command_line("chat", "m.gguf", "--json", stdin="/help", models=models)
    assert outcome.events[-1]["text"] == "What?"
    assert "User: /help" in models.engines[0].prompts[0]


def test_every_event_is_written_before_the_next_request_is_read() -> None:
    output = io.StringIO()
    session = Session(ScriptedEngine(["System: One.", "System: Two."]), Toolbox([]))
    seen: list[str] = []

    def requests() -> Iterator[str]:
        yield "first\n"
        seen.append(json.loads(output.getvalue().splitlines()[-1])["text"])
        yield "second\n"

    answer_lines(session, requests(), output)
    assert seen == ["One."]
    assert json.loads(output.getvalue().splitlines()[-1])["text"] == "Two."
