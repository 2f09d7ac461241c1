"""Pauses: doubled, drawn, bounded, and a server's wish first."""

from __future__ import annotations

import pytest

from coalm_lite.errors import HubError
from coalm_lite.hub.backoff import Patience, Waits, patiently
from coalm_lite.hub.refusals import TemporaryError, UnreachableError

NONE = Waits(tries=5, first_s=0.0)


def test_a_pause_doubles_up_to_its_bound_and_is_drawn_from_the_upper_half() -> None:
    waits = Waits(first_s=1.0, longest_s=6.0)
    for failures, longest_s in ((0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 6.0), (1000, 6.0)):
        drawn = [waits.pause_s(failures, None) for _ in range(50)]
        assert longest_s / 2 <= min(drawn) < max(drawn) <= longest_s


def test_a_servers_wish_goes_first_within_its_bound() -> None:
    waits = Waits(longest_asked_s=300.0)
    assert waits.pause_s(1, 7.0) == 7.0
    assert waits.pause_s(1, 0.0) == 0.0
    assert waits.pause_s(1, 1e9) == 300.0


@pytest.mark.parametrize(
    ("error", "asked"), [(TemporaryError("busy"), 5), (UnreachableError("nobody"), 2), (HubError("no"), 1)]
)
def test_how_often_is_asked_depends_on_the_failure(error: HubError, asked: int) -> None:
    count = 0
    told: list[str] = []

    def fail() -> None:
        nonlocal count
        count += 1
        raise error

    with pytest.raises(HubError) as caught:
        patiently(fail, NONE, told.append)
    assert caught.value is error
    assert (count, len(told)) == (asked, asked - 1)


def test_patience_ends_after_so_many_requests_without_a_new_byte() -> None:
    patience, busy = Patience(Waits(tries=3, first_s=0.0), 100), TemporaryError("busy")
    for position in (100, 100, 150, 120, 150):  # 120: bytes that came before, thrown away meanwhile
        assert patience.pause_s(busy, position) == 0.0
    with pytest.raises(TemporaryError) as caught:
        patience.pause_s(busy, 150)
    assert caught.value is busy
