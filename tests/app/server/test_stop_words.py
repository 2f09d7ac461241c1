"""Stop words: whatever pieces a text comes in, what is shown is the text up to the first that ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.app.server.stop_words import StopWords

LETTERS = st.text("ab", max_size=12)
WORDS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


@given(LETTERS, WORDS, st.lists(st.integers(0, 12)))
def test_the_text_up_to_the_stop_word_that_ends_first_is_shown(text: str, words: list[str], cuts: list[int]) -> None:
    stops, shown = StopWords(words), ""
    for end in sorted(min(cut, len(text)) for cut in cuts):
        shown += stops.more(text[:end], final=False)
        assert text.startswith(shown)
    shown += stops.more(text, final=True)
    places = [(place + len(word), place) for word in words if (place := text.find(word)) >= 0]
    assert shown == text[: min(places)[1] if places else len(text)]
    assert stops.found == bool(places)


def test_text_that_begins_no_stop_word_is_shown_at_once() -> None:
    stops = StopWords(["end"])
    assert stops.more("the e", final=False) == "the "
    assert stops.more("the eagle", final=False) == "eagl"
