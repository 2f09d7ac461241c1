from __future__ import annotations

import io
from pathlib import Path

import pytest

from coalm_lite.cli.chat_plain import PlainScreen
from tests.cli.conftest import CommandLine, scripted

CALL = "Action: book(name='Alm')"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_conversation_in_a_pipe_is_a_transcript(command_line: CommandLine, hotels: Path) -> None:
    models = scripted("System: Which one?", CALL, "System: Booked, **RX7**.")
    stdin = "a hotel\n\nthe Alm\n"
    outcome = command_line("chat", "m.gguf", "--yes", "--tools", str(hotels), stdin=stdin, models=models)
    assert outcome.code == 0
    assert outcome.out == "Which one?\ncall   book(name='Alm')\nresult \"RX7\"\nBooked, **RX7**.\n"
    assert outcome.err.splitlines() == [
        "m.gguf (cra, 16384 tokens)",
        "2 tools, calls run without asking",
        "/help lists the commands, Ctrl-D quits",
    ]


def test_where_nobody_can_be_asked_a_call_is_denied_and_the_way_out_named(
    command_line: CommandLine, hotels: Path
) -> None:
    models = scripted(CALL, "System: I may not.")
    outcome = command_line("chat", "m.gguf", "-q", "--tools", str(hotels), stdin="book\n", models=models)
    assert outcome.out == "call   book(name='Alm')\nfailed the user did not allow this call\nI may not.\n"
    assert outcome.err == "not run: nobody can be asked here; --yes allows all calls\n"


def test_errors_are_told_and_the_conversation_goes_on(command_line: CommandLine) -> None:
    models = scripted("nonsense", "System: Hello.")
    outcome = command_line("chat", "m.gguf", "-q", stdin=b"\xff\n/nix\none\ntwo\n", models=models)
    assert (outcome.code, outcome.out) == (0, "Hello.\n")
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert [error[:29] for error in errors] == [
        "error: the request has a byte",
        "error: there is no command /n",
        "error: a step begins with Tho",
    ]


def test_slash_commands_work_and_quit_ends_before_the_next_line(command_line: CommandLine) -> None:
    models = scripted("System: Hello.")
    outcome = command_line("chat", "m.gguf", "-q", "-v", stdin="/system Be kind.\nhi\n/quit\nmore\n", models=models)
    assert outcome.code == 0
    assert "system: Be kind.\n" in outcome.err
    assert outcome.err.endswith("bye\n")
    assert "Be kind." in models.engines[0].prompts[0]


def test_v_tells_timings_after_each_answer(command_line: CommandLine) -> None:
    outcome = command_line("chat", "m.gguf", "-v", stdin="hi\n", models=scripted("System: Hello."))
    assert "1 step, prompt " in outcome.err


def test_a_context_that_is_full_is_told_with_reset_and_the_chat_goes_on(command_line: CommandLine) -> None:
    models = scripted("System: Hello.", context_tokens=1200)
    outcome = command_line("chat", "m.gguf", "-q", stdin=f"{'long ' * 200}\nhi\n", models=models)
    assert (outcome.code, outcome.out) == (0, "Hello.\n")
    assert "tokens of context, and 1200 are available" in outcome.err
    assert "/reset starts over" in outcome.err


def test_a_line_that_ends_in_a_backslash_goes_on() -> None:
    plain = PlainScreen(io.StringIO("one\\\ntwo\\\n\nthree"), io.StringIO(), io.StringIO(), None)
    assert plain.read() == "one\ntwo\n"
    assert plain.read() == "three"
    with pytest.raises(EOFError):
        plain.read()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y\n", "once"), ("YES \n", "once"), ("n\n", "no"), ("a\n", "always"), ("what\n\ny\n", "once"), ("", "no")],
)
def test_at_a_terminal_calls_are_asked_about_on_standard_error(typed: str, answer: str) -> None:
    output, errors = io.StringIO(), io.StringIO()
    assert PlainScreen(Terminal(typed), output, errors, None).ask("Run book?") == answer
    assert errors.getvalue() == "Run book? [y/n/a] " * max(typed.count("\n"), 1)
    assert output.getvalue() == ""


def test_a_terminal_gets_no_control_characters_and_a_pipe_the_exact_text() -> None:
    for output, text in ((Terminal(), "a\ufffd[2Jb\n"), (io.StringIO(), "a\x1b[2Jb\n")):
        plain = PlainScreen(io.StringIO(), output, io.StringIO(), None)
        plain.text("a\x1b[2J")
        plain.text("b")
        plain.end_text()
        plain.end_text()
        assert output.getvalue() == text
