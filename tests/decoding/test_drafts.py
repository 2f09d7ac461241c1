from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.decoding.drafts import LONGEST_DRAFT, Draft, Habits, PromptLookup, Recorded

letters = st.text("abc ", max_size=30)


def piece(token: int) -> bytes:
    return bytes([token])


def looked_up(prompt: str, answer: str) -> str:
    return bytes(noted(PromptLookup([*prompt.encode()], piece), answer).tokens).decode()


def noted(lookup: PromptLookup, answer: str) -> Draft:
    lookup.note([*answer.encode()])
    return lookup.draft([*answer.encode()])


def test_what_followed_the_last_tokens_in_the_prompt_is_the_draft() -> None:
    assert looked_up("to Quillhaven on Friday", "x Qui") == "llhaven on Frida"


def test_the_longest_match_counts_and_of_equal_ones_the_latest() -> None:
    assert looked_up("bcd1 xd2 abcd3", "abcd").startswith("3")
    assert looked_up("abc1 abc2 ", "abc").startswith("2")


def test_nothing_is_drafted_where_nothing_matches() -> None:
    assert looked_up("abc", "xyz") == ""
    assert looked_up("abc", "") == ""


@given(prompt=letters, answer=letters, more=letters)
def test_a_draft_always_follows_the_longest_key_that_stood_somewhere_before(
    prompt: str, answer: str, more: str
) -> None:
    lookup = PromptLookup([*prompt.encode()], piece)
    noted(lookup, answer)
    said = answer + more
    draft = noted(lookup, said)
    pieces = [bytes([byte]).lstrip(b" ") for byte in (prompt + said).encode()]

    def followers(length: int) -> list[bytes]:
        key = pieces[-length:]
        places = [n for n in range(len(pieces) - length) if pieces[n : n + length] == key]
        return [(prompt + said).encode()[n + length :][: len(draft.tokens)] for n in places if any(key)]

    longest = next((n for n in range(min(4, len(said)), 0, -1) if followers(n)), 0)
    assert bool(draft.tokens) == bool(longest)
    assert len(draft.tokens) == len(draft.kinds) <= LONGEST_DRAFT
    if longest:
        assert bytes(draft.tokens) in followers(longest)


def test_how_a_token_is_guessed_tells_words_that_were_begun_from_what_follows_a_word_or_a_mark() -> None:
    kinds = noted(PromptLookup([*b"(Quill haven)"], piece), "x Qu").kinds
    assert kinds[:3] == ("inside a word",) * 3  # ill
    assert kinds[3] == "lookup 4 behind a word"  # the space
    assert noted(PromptLookup([*b"a-b"], piece), "-").kinds[0] == "lookup 1 behind a mark"


def test_habits_say_how_earlier_answers_began_and_went_on() -> None:
    habits = Habits()
    assert habits.draft([], piece).tokens == ()
    habits.learn([*b"[1, 2]"], piece)
    assert bytes(habits.draft([], piece).tokens) == b"[1, 2]"
    assert habits.draft([], piece).kinds[0] == "beginning"
    assert bytes(habits.draft([*b"[1"], piece).tokens) == b", 2]"
    assert bytes(habits.draft([*b"{1"], piece).tokens) == b", 2]"
    assert habits.draft([*b"{1"], piece).kinds[0] == "habit 1"
    habits.learn([*b"{3"], piece)
    assert bytes(habits.draft([], piece).tokens) == b"{3"


def test_habits_forget_rather_than_grow_without_end() -> None:
    habits = Habits()
    for count in range(40):
        habits.learn([count] * 1000, lambda token: b"%d" % token)
    assert habits.draft([0], lambda token: b"%d" % token).tokens == ()
    assert habits.draft([39], lambda token: b"%d" % token).tokens


def test_a_recorded_answer_goes_on_while_it_is_agreed_with() -> None:
    recorded = Recorded([1, 2, 3, 4])
    assert recorded.draft([]).tokens == (1, 2, 3, 4)
    assert recorded.draft([1, 2, 3]).tokens == (4,)
    assert recorded.draft([1, 9]).tokens == recorded.draft([1, 2, 3, 4]).tokens == ()
