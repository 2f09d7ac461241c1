from __future__ import annotations

import threading

import pytest

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.one_thread import OneThread


def test_a_second_thread_is_refused_and_may_enter_afterwards() -> None:
    door = OneThread()
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with door:
            entered.set()
            assert leave.wait(10)

    first = threading.Thread(target=stay)
    first.start()
    assert entered.wait(10)
    with pytest.raises(DecodingError, match="two threads"), door:
        pass
    leave.set()
    first.join()
    with door:
        pass


def test_an_error_inside_leaves_the_door_open() -> None:
    door = OneThread()
    with pytest.raises(ZeroDivisionError), door:
        raise ZeroDivisionError
    with door:
        pass


def test_a_closed_door_says_so_each_time() -> None:
    door = OneThread()
    door.closed = True
    for _ in range(2):
        with pytest.raises(DecodingError, match="closed"), door:
            pass
