from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from coalm_lite.cli import markdown_stream
from coalm_lite.cli.markdown_stream import MarkdownStream, finished_blocks

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WORDS = st.text(st.sampled_from("abc xyz0 <>[]#`'é東\n"), max_size=60)


def terminal(width: int = 80, height: int = 24, **environment: str) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        _environ=environment,
        highlight=False,
        markup=False,
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def screen(data: str) -> list[str]:
    """The lines that a terminal shows after `data`: what was erased is gone. Knows what rich's Live writes."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n|\r)", data):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif part and part != "\r" and not part.startswith("\x1b"):
            lines[row] += part
    return [line.rstrip() for line in lines]


def shown(console: Console, *pieces: str) -> list[str]:
    stream = MarkdownStream(console)
    for piece in pieces:
        stream.write(piece)
    stream.close()
    return [line for line in screen(written(console)) if line]


@pytest.fixture(autouse=True)
def _draw_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown_stream, "REFRESH_S", 0.0)


@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(WORDS, max_size=6), width=st.integers(1, 60))
def test_what_is_on_the_screen_at_the_end_does_not_depend_on_how_it_came(pieces: list[str], width: int) -> None:
    assert shown(terminal(width), *pieces) == shown(terminal(width), "".join(pieces))


@settings(max_examples=40, deadline=None)
@given(text=WORDS, width=st.integers(1, 60))
def test_no_line_is_wider_than_the_terminal(text: str, width: int) -> None:
    console = terminal(width)
    for line in shown(console, *text):
        assert console.measure(line).maximum <= max(width, 2)  # a wide character needs two columns


def test_emphasis_lists_and_code_are_rendered() -> None:
    console = terminal()
    assert shown(console, "Two **good** inns:\n\n- Alm\n- Brook\n\n```\nx = 1\n```\n") == [
        "Two good inns:",
        " • Alm",
        " • Brook",
        " x = 1",
    ]
    assert "\x1b[1m" in written(console)


def test_one_blank_line_stands_between_blocks_of_any_kind() -> None:
    console = terminal()
    stream = MarkdownStream(console)
    for piece in ("# Inns\n\nTwo:\n\n- Alm\n- Brook\n\n", "```\nx = 1\n```\n\nBye."):
        stream.write(piece)
    stream.close()
    lines = [line.strip() for line in screen(written(console))]
    assert lines[1:] == ["", "Two:", "", "• Alm", "• Brook", "", "x = 1", "", "Bye.", ""]
    assert "Inns" in lines[0]


def test_html_brackets_and_links_are_shown_as_they_are() -> None:
    text = "Write <name> or [red]x[/red], see [this](http://a.example/b) &amp; <br>."
    (line,) = shown(terminal(120), text)
    assert line == "Write <name> or [red]x[/red], see this (http://a.example/b) & <br>."


def test_control_characters_of_a_model_do_not_reach_the_terminal() -> None:
    console = terminal()
    assert shown(console, "a\x1b]0;title\x07b\x1b[2Jc") == ["a\ufffd]0;title\ufffdb\ufffd[2Jc"]
    assert "\x1b]" not in written(console)
    assert "\x1b[2J" not in written(console)


def test_a_finished_block_is_printed_once_and_not_drawn_again() -> None:
    console = terminal()
    stream = MarkdownStream(console)
    stream.write("first block\n\nsecond ")
    before = len(written(console))
    assert screen(written(console))[0] == "first block"
    stream.write("goes on")
    assert "first" not in written(console)[before:]
    stream.close()
    assert written(console).count("first block") == 1


def test_an_unfinished_block_higher_than_the_terminal_shows_its_end_and_is_whole_at_last() -> None:
    console = terminal(height=8)
    items = [f"- item {number}\n" for number in range(30)]
    stream = MarkdownStream(console)
    for item in items:
        stream.write(item)
    visible = [line for line in screen(written(console)) if line]
    assert visible[-1] == " • item 29"
    assert len(visible) <= 8
    stream.close()
    assert [line for line in screen(written(console)) if line] == [f" • item {number}" for number in range(30)]


def test_the_next_text_after_a_close_is_a_new_one() -> None:
    console = terminal()
    stream = MarkdownStream(console)
    for text in ("```\nopen fence", "plain *words*"):
        stream.write(text)
        stream.close()
    assert screen(written(console))[-2:] == ["plain words", ""]
    stream.close()


def test_nothing_is_drawn_for_nothing() -> None:
    console = terminal()
    assert shown(console, "", "\n", " ") == []


def test_no_color_means_no_colour() -> None:
    console = terminal(NO_COLOR="1")
    shown(console, "`code` and **bold**\n\n```python\nx = 'a'\n```")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])[0-9;]*m", written(console))


@pytest.mark.parametrize(
    ("text", "finished", "rest"),
    [
        ("one", [], "one"),
        ("one\n", [], "one\n"),
        ("one\n\n", [], "one\n\n"),
        ("one\n\ntwo", ["one"], "two"),
        ("one\n \t\n\ntwo\n\nthree", ["one", "two"], "three"),
        ("- a\n\n  more of a", [], "- a\n\n  more of a"),
        ("```\na\n\nb", [], "```\na\n\nb"),
        ("```\na\n\nb\n```\n\nc", ["```\na\n\nb\n```"], "c"),
        ("````\n```\n\nb\n````\n\nc", ["````\n```\n\nb\n````"], "c"),
        ("~~~\n```\n\nb", [], "~~~\n```\n\nb"),
        ("a\n\n```\nb\n\nc", ["a"], "```\nb\n\nc"),
    ],
)
def test_a_block_is_finished_at_a_blank_line_outside_a_fence(text: str, finished: list[str], rest: str) -> None:
    assert finished_blocks(text) == (finished, rest)
