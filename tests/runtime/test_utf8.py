from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.runtime.utf8 import unfinished


@settings(deadline=None)
@given(st.text(), st.characters(codec="utf-8"), st.data())
def test_a_text_cut_anywhere_ends_within_its_last_character(text: str, last: str, data: st.DataObject) -> None:
    cut = last.encode()[: data.draw(st.integers(0, len(last.encode()) - 1))]
    assert unfinished(text.encode() + cut) == cut


@pytest.mark.parametrize(
    "data",
    [b"\x80", b"\xc0", b"\xc3a", b"\xe0\x82", b"\xed\xa0", b"\xf0\x84", b"\xf4\x90", b"\xf5", b"\xff", b"a\xc3\xc3"],
)
def test_what_can_become_no_text_is_told_at_its_first_wrong_byte(data: bytes) -> None:
    assert unfinished(data) is None
