"""Waits that servers ask for, and words that come from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from coalm_lite.hub.refusals import TemporaryError, refused, unreachable


def asked_s(told: str) -> float | None:
    error = refused(503, {"Retry-After": told}, "o/r", "o/r/m.gguf")
    assert isinstance(error, TemporaryError)
    return error.retry_after_s


@pytest.mark.parametrize(("told", "seconds"), [("0", 0.0), ("120", 120.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)])
def test_a_wait_is_read_in_both_forms(told: str, seconds: float) -> None:
    assert asked_s(told) == seconds


def test_a_wait_until_a_moment_is_the_time_to_it() -> None:
    wait_s = asked_s(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert wait_s is not None and 60 < wait_s <= 90


@pytest.mark.parametrize("told", ["", "soon", "-5", "1e3", "9" * 500, "21 Oct 2015", "\u00b2"])
def test_a_wait_that_is_none_or_endless_does_no_harm(told: str) -> None:
    wait_s = asked_s(told)
    assert wait_s is None or 0 <= wait_s < 1e9


def test_a_servers_words_are_put_on_one_harmless_line() -> None:
    error = refused(418, {"X-Error-Message": "a\x1b[2J\nb" + "c" * 1000}, "o/r", "o/r/m.gguf")
    assert error.message.isprintable() and len(error.message) < 500


def test_the_first_cause_is_told_and_no_signature() -> None:
    try:
        try:
            raise OSError(101, "Network is unreachable")
        except OSError as cause:
            raise RuntimeError("Max retries exceeded with url: /m?Signature=secret") from cause
    except RuntimeError as error:
        told = unreachable(error, "https://user:word@cdn.example/m?Signature=secret").message
    assert told == "no answer from https://cdn.example: [Errno 101] Network is unreachable"
