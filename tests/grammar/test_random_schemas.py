"""Random schemas with every keyword: valid values are accepted, and what is drawn from a grammar is valid."""

from __future__ import annotations

from grammar_values import instances, walks


def test_every_valid_value_is_accepted_in_canonical_form() -> None:
    found = instances(400, seed=10_000)
    assert found["valid"] >= 400 and found["refused"] == 0 and found["schemas refused"] == 0


def test_every_text_that_is_drawn_is_valid_or_left_to_the_check() -> None:
    found = walks(400, seed=20_000)
    assert found["texts"] >= 400 and found["texts, not valid"] == 0 and found["accepts disagrees"] == 0
