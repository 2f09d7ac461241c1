from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.decoding.drafts import LONGEST_DRAFT, PromptLookup, Recorded

letters = st.text("abc ", max_size=30)


def piece(token: int) -> bytes:
    return bytes([token])


def looked_up(prompt: str, answer: str) -> str:
    return bytes(PromptLookup([*prompt.encode()], piece).draft([*answer.encode()]).tokens).decode()


def test_what_followed_the_last_tokens_in_the_prompt_is_the_draft() -> None:
    assert looked_up("to Quillhaven on Friday", "x Qui") == "llhaven on Frida"


def test_the_longest_match_counts_and_of_equal_ones_the_latest() -> None:
    assert looked_up("bcd1 xd2 abcd3", "abcd").startswith("3")
    assert looked_up("abc1 abc2 ", "abc").startswith("2")


def test_nothing_is_drafted_where_nothing_matches() -> None:
    assert looked_up("abc", "xyz") == ""
    assert looked_up("abc", "") == ""


@given(prompt=letters, answer=letters, more=letters)
def test_a_draft_always_follows_its_key_somewhere_before(prompt: str, answer: str, more: str) -> None:
    lookup = PromptLookup([*prompt.encode()], piece)
    lookup.draft([*answer.encode()])
    said = answer + more
    draft = lookup.draft([*said.encode()])
    if draft.tokens:
        length = int(draft.kind.removeprefix("lookup "))
        assert len(draft.tokens) <= LONGEST_DRAFT
        pieces = [bytes([byte]).lstrip(b" ") for byte in (prompt + said).encode()]
        key = pieces[-length:]
        places = [n for n in range(len(pieces) - length) if pieces[n : n + length] == key]
        rest = [(prompt + said).encode()[n + length :][: len(draft.tokens)] for n in places]
        assert bytes(draft.tokens) in rest


def test_a_recorded_answer_goes_on_while_it_is_agreed_with() -> None:
    recorded = Recorded([1, 2, 3, 4])
    assert recorded.draft([]).tokens == (1, 2, 3, 4)
    assert recorded.draft([1, 2, 3]).tokens == (4,)
    assert recorded.draft([1, 9]).tokens == recorded.draft([1, 2, 3, 4]).tokens == ()
