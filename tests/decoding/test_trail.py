"""Quick guesses: what followed the last tokens where they stood before, found as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.decoding.trail import BEGINNING, QuickLookup, Trail

TOKENS = st.lists(st.integers(0, 5) | st.sampled_from([256, 65536, 1 << 24]), max_size=40)  # bytes that look alike


def followers(before: list[int], key: list[int]) -> list[int]:
    """What stands behind the latest place of `key`, found token by token."""
    for start in range(len(before) - len(key) - 1, -1, -1):
        if before[start : start + len(key)] == key:
            rest = before[start + len(key) : start + len(key) + 7]
            return rest[: rest.index(BEGINNING)] if BEGINNING in rest else rest
    return []


@given(TOKENS, TOKENS, TOKENS)
def test_a_guess_is_what_a_search_token_by_token_finds(
    prompt: list[int], earlier: list[int], answer: list[int]
) -> None:
    trail = Trail()
    trail.add(earlier)
    found, kinds = QuickLookup(prompt, trail).guess(answer)
    own = [BEGINNING, *answer]
    expected = [
        (here, f"{name} {length}")
        for length in range(min(4, len(own)), 0, -1)
        for name, text in (("here", [*prompt, *own]), ("earlier", [BEGINNING, *earlier]))
        if (here := followers(text, own[-length:]))
    ]
    assert (found, kinds[:1]) == ((expected[0][0], [expected[0][1]]) if expected else ([], []))
    assert len(kinds) == len(found)


def test_an_answer_begins_as_the_last_one_did() -> None:
    trail = Trail()
    trail.add([7, 8, 9])
    trail.add([7, 5, 6])
    assert QuickLookup([1, 2], trail).guess([])[0] == [7, 5, 6]
    assert QuickLookup([1, 2], trail).guess([7]) == ([5, 6], ["earlier 2", "earlier 3"])


def test_of_many_answers_the_latest_are_kept() -> None:
    trail = Trail()
    for number in range(2000):
        trail.add([number] * 16)
    assert len(trail.data) < 4 * 16384 + 100
    assert QuickLookup([], trail).guess([1999])[0] == [1999] * 7
    assert QuickLookup([], trail).guess([3])[0] == []
