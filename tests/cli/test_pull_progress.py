from __future__ import annotations

import pytest

from coalm_lite.cli.pull_progress import PullScreen, progress_words, time_words
from coalm_lite.hub.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 s"), (99, "99 s"), (150, "2 min"), (5900, "98 min"), (6000, "1 h 40 min"), (360000, "100 h 0 min")],
)
def test_times_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


def test_progress_tells_what_is_known() -> None:
    assert progress_words(Progress(0, 4_920_000_000)) == "0 of 4.92 GB"
    known = Progress(1_970_000_000, 4_920_000_000, 11_200_000.0, 263.0)
    assert progress_words(known) == "1.97 GB of 4.92 GB, 11.2 MB/s, 4 min left"


def test_off_a_terminal_a_line_comes_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with PullScreen(0) as screen:
        for done in range(101):
            screen.report(Progress(done, 100))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("fetching   0 %")
    assert lines[-1].startswith("fetching 100 %")


def test_a_wait_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with PullScreen(0) as screen:
        screen.report(Progress(0, 100, stage="waiting", note="the Hub is busy\x1b[2J"))
    assert capsys.readouterr().err == "the Hub is busy\ufffd[2J\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with PullScreen(-1) as screen:
        screen.tell("something")
        screen.report(Progress(50, 100))
        screen.report(Progress(50, 100, stage="waiting", note="busy"))
    assert capsys.readouterr() == ("", "")


def test_an_empty_file_is_no_division_by_zero(capsys: pytest.CaptureFixture[str]) -> None:
    with PullScreen(0) as screen:
        screen.report(Progress(0, 0))
    assert capsys.readouterr().err == ""
