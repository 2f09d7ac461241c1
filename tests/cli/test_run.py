from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine, scripted

CALL = "Action: book(name='Alm')"


def test_the_answer_alone_goes_to_standard_output(command_line: CommandLine, hotels: Path) -> None:
    models = scripted(CALL, "System: Booked, RX7.")
    outcome = command_line("run", "m.gguf", "Book it", "--yes", "--tools", str(hotels), models=models)
    assert (outcome.code, outcome.out) == (0, "Booked, RX7.\n")
    assert outcome.err == "call   book(name='Alm')\nresult \"RX7\"\n"


def test_without_yes_a_call_is_denied_and_the_model_is_told(command_line: CommandLine, hotels: Path) -> None:
    models = scripted(CALL, "System: I was not allowed to.")
    outcome = command_line("run", "m.gguf", "Book it", "--tools", str(hotels), models=models)
    assert outcome.out == "I was not allowed to.\n"
    assert "failed the user did not allow this call\n" in outcome.err
    assert "did not allow" in models.engines[0].prompts[1]


def test_quiet_leaves_standard_error_empty_and_v_adds_timings(command_line: CommandLine, hotels: Path) -> None:
    arguments = ("run", "m.gguf", "Book it", "--yes", "--tools", str(hotels))
    quiet = command_line(*arguments, "-q", models=scripted(CALL, "System: Done."))
    assert (quiet.out, quiet.err) == ("Done.\n", "")
    told = command_line(*arguments, "-v", models=scripted(CALL, "System: Done."))
    assert "2 steps, prompt " in told.err


def test_json_is_the_events_of_the_turn(command_line: CommandLine, hotels: Path) -> None:
    models = scripted(CALL, "System: Done.")
    outcome = command_line("run", "m.gguf", "Book it", "--json", "--yes", "--tools", str(hotels), models=models)
    assert outcome.err == ""
    kinds = [event["type"] for event in outcome.events]
    assert (kinds[:2], kinds[-1]) == (["tool_call", "tool_result"], "done")
    assert outcome.events[-1]["text"] == "Done."


def test_a_dash_reads_the_request_from_standard_input(command_line: CommandLine) -> None:
    models = scripted("System: Hello.")
    outcome = command_line("run", "m.gguf", "-", stdin="grüß dich\n", models=models)
    assert outcome.out == "Hello.\n"
    assert "User: grüß dich\n" in models.engines[0].prompts[0]


@pytest.mark.parametrize(("text", "stdin"), [("-", b""), (" ", b""), ("-", b"\n"), ("-", b"\xff")])
def test_a_request_that_is_empty_or_no_text_is_wrong_usage(command_line: CommandLine, text: str, stdin: bytes) -> None:
    models = scripted()
    outcome = command_line("run", "m.gguf", text, stdin=stdin, models=models)
    assert outcome.code == 2
    assert outcome.err.startswith("error: the request ")
    assert not models.engines


@pytest.mark.parametrize("as_json", [False, True])
def test_a_turn_without_an_answer_is_exit_code_1(command_line: CommandLine, hotels: Path, as_json: bool) -> None:
    arguments = ["run", "m.gguf", "go", "--yes", "--max-steps", "2", "--tools", str(hotels)]
    outcome = command_line(*arguments, *["--json"] * as_json, models=scripted(CALL, CALL, CALL))
    assert outcome.code == 1
    if as_json:
        assert outcome.events[-1]["reason"] == "steps"
    else:
        assert "stopped after 2 steps without an answer; --max-steps raises the limit\n" in outcome.err


def test_an_answer_that_was_cut_says_so(command_line: CommandLine) -> None:
    outcome = command_line("run", "m.gguf", "go", "--max-tokens", "14", models=scripted("System: a long answer"))
    assert (outcome.code, outcome.out) == (0, "a long\n")
    assert outcome.err == "the answer was cut at 14 tokens; --max-tokens raises the limit\n"


def test_an_error_is_told_once_and_with_json_also_as_an_event(command_line: CommandLine) -> None:
    outcome = command_line("run", "m.gguf", "go", "--json", models=scripted("nonsense"))
    assert outcome.code == 1
    assert [event["type"] for event in outcome.events] == ["error"]
    assert outcome.err.startswith(f"error: {outcome.events[0]['message']}\n")


def test_an_answer_that_the_dialect_shows_only_at_the_end_is_printed(command_line: CommandLine) -> None:
    outcome = command_line("run", "m.gguf", "go", "--dialect", "hammer", models=scripted("No tool fits."))
    assert outcome.out == "No tool fits.\n"
    assert command_line("run", "m.gguf", "go", "--dialect", "hammer", models=scripted("[]")).out == ""
