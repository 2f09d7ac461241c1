from __future__ import annotations

import ctypes
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import ContextFullError
from coalm_lite.runtime.base import Cancel, Cancelled, check_room, common_prefix_length


def test_a_cancel_set_in_another_thread_is_seen_here() -> None:
    cancel = Cancel()
    cancel.check()
    seen = [cancel.is_set]
    setter = threading.Thread(target=cancel.set)
    setter.start()
    setter.join()
    seen.append(cancel.is_set)
    assert seen == [False, True]
    with pytest.raises(Cancelled):
        cancel.check()


def test_native_code_sees_an_empty_c_string_until_the_cancel_is_set() -> None:
    cancel = Cancel()
    assert ctypes.string_at(cancel.address) == b""
    cancel.set()
    cancel.set()
    assert len(ctypes.string_at(cancel.address)) == 1


def test_listeners_hear_a_cancel_once_it_is_set_or_at_once_if_it_was() -> None:
    cancel, heard = Cancel(), list[str]()

    def forgotten() -> None:
        heard.append("forgotten")

    cancel.tell(lambda: heard.append("before"))
    cancel.tell(forgotten)
    cancel.forget(forgotten)
    cancel.forget(forgotten)
    assert not heard
    cancel.set()
    cancel.tell(lambda: heard.append("after"))
    assert heard == ["before", "after"]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_the_common_prefix_is_the_longest_one(left: list[int], right: list[int]) -> None:
    length = common_prefix_length(left, right)
    assert left[:length] == right[:length]
    assert left[length : length + 1] != right[length : length + 1] or length == len(left) == len(right)


def test_a_full_context_names_what_is_needed_and_what_is_there() -> None:
    check_room(10, 6, 16)
    with pytest.raises(ContextFullError) as caught:
        check_room(10, 7, 16)
    assert "7 more tokens after the 10 it holds need 17 tokens of context, and 16 are available" in caught.value.message
    assert "--context 2048" in caught.value.hint
