"""The meter: few reports, the right figures, none for the past."""

from __future__ import annotations

import time

from coalm_lite.hub.progress import Meter, Progress


def test_a_stage_is_reported_at_its_beginning_and_at_its_end_and_seldom_between() -> None:
    seen: list[Progress] = []
    meter = Meter(seen.append)
    meter.begin("fetching", 0, 10_000)
    for _ in range(10_000):
        meter.add(1)
    assert seen[0] == Progress(0, 10_000)
    assert (seen[-1].done_bytes, seen[-1].seconds_left) == (10_000, 0.0)
    assert len(seen) < 1000


def test_what_was_there_before_does_not_count_as_speed() -> None:
    seen: list[Progress] = []
    meter = Meter(seen.append)
    meter.begin("fetching", 10**12, 10**12 + 100)
    time.sleep(0.01)
    meter.add(100)
    assert 0 < seen[-1].bytes_per_s <= 100 / 0.01


def test_a_wait_is_reported_with_its_reason() -> None:
    seen: list[Progress] = []
    meter = Meter(seen.append)
    meter.begin("fetching", 5, 10)
    meter.wait("busy")
    assert seen[-1] == Progress(5, 10, stage="waiting", note="busy")
