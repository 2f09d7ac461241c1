"""Patterns mean what Python's search finds in ASCII texts; numbers' bounds hold for every float near them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.grammar.automaton import Automaton
from coalm_lite.grammar.numbers import Bounds, decimals, integers
from coalm_lite.grammar.patterns import UnheldError, pattern_dfa
from tests.grammar.strategies import unhurried

PATTERNS = [
    *(r"^\d{3}-\d{4}$", "abc", "^abc", "abc$", "^$", "", "a|^b|c$", r"(^|,)x($|,)", r"^[^\d\s]+$", r"\W", "(a*)*b"),
    *("^(a|ab)(c|bcd)$", "x{2,4}y?", "^.{2}$", "^a^b", "a$b", "(?:ab){2,}$", r"[a-c-]+\.", r"^\w+@\w+$", r"^[\w.]*$"),
]


@unhurried
@given(pattern=st.sampled_from(PATTERNS), text=st.text("abcdxy0129-.@, ", max_size=9))
def test_a_pattern_holds_where_a_search_finds_it(pattern: str, text: str) -> None:
    assert pattern_dfa(pattern).accepts(text) == bool(re.search(pattern, text))


CLASSES = [r"^\D$", r"^\W$", r"^\S$", r"^[^\w]$", r"^.$", r"^\d$", r"^\s$", r"^[^\s]$"]


@unhurried
@given(pattern=st.sampled_from(CLASSES), text=st.characters())
def test_what_a_class_takes_of_any_alphabet_a_search_finds_too(pattern: str, text: str) -> None:
    if pattern_dfa(pattern).accepts(text):
        assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", r"\bx", "(?i)a", "(?>a)b", "a++", "(?<!x)y", "(?i:a)"])
def test_what_has_memory_is_no_regular_language(pattern: str) -> None:
    with pytest.raises(UnheldError):
        pattern_dfa(pattern)


def test_no_letter_lies_beyond_the_planes_that_are_searched() -> None:
    assert not any(chr(point).isalnum() for point in range(0x40000, 0x110000))


Limits = (
    st.none() | st.integers(-2000, 2000) | st.floats(-50, 50) | st.sampled_from([0.1, 1e-7, 1e22, 1e-300, 2**60 + 1])
)
AllBounds = st.builds(Bounds, Limits, st.booleans(), Limits, st.booleans())


def _within(bounds: Bounds, value: float) -> bool:
    above = bounds.least is None or value > bounds.least or (value == bounds.least and not bounds.above)
    return above and (bounds.most is None or value < bounds.most or (value == bounds.most and not bounds.below))


@unhurried
@given(bounds=AllBounds, data=st.data())
def test_an_integer_is_accepted_where_it_is_within_the_bounds(bounds: Bounds, data: st.DataObject) -> None:
    edges = [round(side) for side in (bounds.least, bounds.most) if side is not None]
    value = data.draw(
        st.integers(-3000, 3000) | st.sampled_from(edges or [0]).flatmap(lambda e: st.integers(e - 2, e + 2))
    )
    if abs(value) < 10**18:
        state = Automaton({"root": integers(bounds)}).start.advance(str(value))
        assert (state is not None and state.may_end) == _within(bounds, value)


@unhurried
@given(bounds=AllBounds, data=st.data())
def test_a_float_is_accepted_where_it_is_within_the_bounds(bounds: Bounds, data: st.DataObject) -> None:
    edges = [float(side) for side in (bounds.least, bounds.most) if side is not None] or [0.0]
    near = [math.nextafter(edge, side) for edge in edges for side in (math.inf, -math.inf)]
    value = data.draw(st.sampled_from([*edges, *near, 0.0, -0.0]) | st.floats(-60, 60))
    written = repr(value)
    sign, digits = ("-", written[1:]) if written.startswith("-") else ("", written)
    accepted = any(one == sign and dfa.accepts(digits) for one, dfa in decimals(bounds))
    assert accepted == _within(bounds, value)
