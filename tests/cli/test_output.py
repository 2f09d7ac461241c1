from __future__ import annotations

import pytest

from coalm_lite.cli.output import may_go_on, print_table, print_values, size_words
from coalm_lite.errors import UsageError


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, ""),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (4_920_000_000, "4.92 GB"),
        (16_100_000_000, "16.1 GB"),
        (812_000_000_000, "812 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_have_three_digits_and_a_decimal_unit(size_bytes: int, words: str) -> None:
    assert size_words(size_bytes) == words


def test_columns_are_aligned_and_no_line_ends_in_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("x", ""), ("wide cell", "y")])
    assert capsys.readouterr().out == "A          LONG\nx\nwide cell  y\n"
    print_values({"a": "1", "long name": "2"})
    assert capsys.readouterr().out == "a          1\nlong name  2\n"


def test_consent_that_was_given_asks_nothing_and_without_a_terminal_none_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert may_go_on("it is late", "Go on?", True)
    with open("/dev/null") as nothing:  # noqa: PTH123  # a stream that is no terminal
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(UsageError, match="it is late, and nobody can be asked here"):
            may_go_on("it is late", "Go on?", False)
