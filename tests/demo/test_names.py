"""Names as people say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.demo import names

PLACES = ["Saddler's House", "The Gilded Swan", "Swan and Lantern", "Willow Quay", "Café Orfeo"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Willow Quay", "Willow Quay"),
        ("WILLOW quay", "Willow Quay"),
        ("the willow-quay", "Willow Quay"),
        ("saddlers house", "Saddler's House"),
        ("saddler\u2019s", "Saddler's House"),
        ("gilded swan", "The Gilded Swan"),
        ("swan & lantern", "Swan and Lantern"),
        ("lantern", "Swan and Lantern"),
        ("cafe orfeo", "Café Orfeo"),
        ("Willow Quay guest house", "Willow Quay"),
        ("Gilded Swan Hotel", "The Gilded Swan"),
        ("Wilow Quay", "Willow Quay"),
        ("gildet swan", "The Gilded Swan"),
    ],
)
def test_a_name_is_known_however_it_is_said(said: str, meant: str) -> None:
    assert names.resolve("hotel", said, PLACES) == meant


def test_a_part_begins_a_word() -> None:
    assert names.matches("quay", PLACES) == ["Willow Quay"]
    assert names.matches("illow", PLACES) == []


def test_an_equal_name_goes_before_longer_ones_that_contain_it() -> None:
    assert names.matches("millrace", ["Millrace Sports Ground", "Millrace"]) == ["Millrace"]


def test_a_part_of_several_names_is_not_guessed() -> None:
    assert names.matches("swan", PLACES) == ["The Gilded Swan", "Swan and Lantern"]
    with pytest.raises(ValueError, match=r"2 hotels fit 'swan': .* The Gilded Swan or Swan and Lantern"):
        names.resolve("hotel", "swan", PLACES)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no hotel is called 'Swans Nest'; the nearest names are .*Swan"):
        names.resolve("hotel", "Swans Nest", PLACES)


@pytest.mark.parametrize("said", ["", " ", "the", "!?", "_"])
def test_words_that_name_nothing_match_nothing(said: str) -> None:
    assert names.matches(said, PLACES) == []


@given(st.text())
def test_any_text_is_a_name_or_a_refusal(said: str) -> None:
    assert set(names.matches(said, PLACES)) <= set(PLACES)


@given(st.sampled_from(PLACES))
def test_every_name_means_itself(name: str) -> None:
    assert names.resolve("hotel", name, PLACES) == name


def test_kinds_are_the_same_without_regard_to_spaces_case_and_plural() -> None:
    assert names.same_kind("Concert Halls", "concert hall")
    assert names.same_kind("concerthall", "concert hall")
    assert not names.same_kind("concert", "concert hall")
