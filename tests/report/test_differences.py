"""What differs between two answers is found on token boundaries, and nothing of a text is lost or invented."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.evals.run import Step
from coalm_lite.report.differences import Piece, differences, token_texts
from tests.report.made_up import step


def answer(*tokens: bytes) -> Step:
    """An answer of these tokens."""
    ends, data = [], b""
    for token in tokens:
        data += token
        ends.append(len(data))
    return Step("", 1, data.decode(), "stop", tuple(range(len(tokens))), tuple(ends))


def test_the_differing_token_is_marked_whole() -> None:
    base, other = differences(answer(b"in ", b"Tur", b"in", b"."), answer(b"in ", b"Tun", b"is", b"."))
    assert base == (Piece("in ", False), Piece("Turin", True), Piece(".", False))
    assert other == (Piece("in ", False), Piece("Tunis", True), Piece(".", False))


def test_without_tokens_on_one_side_words_are_compared() -> None:
    base, other = differences(step("in Turin.", tokenized=False), step("in Tunis."))
    assert [piece.text for piece in base if piece.differs] == ["Turin"]
    assert [piece.text for piece in other if piece.differs] == ["Tunis"]


def test_what_only_one_side_has_is_marked_there_alone() -> None:
    base, other = differences(answer(b"[", b"a", b"]"), answer(b"[", b"]"))
    assert base == (Piece("[", False), Piece("a", True), Piece("]", False))
    assert other == (Piece("[]", False),)


def test_a_token_that_ends_within_a_character_goes_with_the_next() -> None:
    euro = "€".encode()
    assert token_texts(answer(b"5 ", euro[:1], euro[1:], b"!")) == ("5 ", "€", "!")


def test_text_after_the_last_token_is_kept() -> None:
    assert token_texts(Step("", 1, "ab cd", "stop", (1,), (2,))) == ("ab", " cd")


def test_ends_that_do_not_fit_the_text_are_not_believed() -> None:
    for ends in ((9,), (-1, 2), (2, 1)):
        assert token_texts(Step("", 1, "ab", "stop", (1,) * len(ends), ends)) is None


def test_long_answers_that_differ_everywhere_take_little_time() -> None:
    base, other = step("a b " * 40_000), step("c d " * 40_000)
    begin = time.perf_counter()
    pieces, _ = differences(base, other)
    assert time.perf_counter() - begin < 5
    assert "".join(piece.text for piece in pieces) == base.text


texts = st.text(st.sampled_from("ab c\n.€𝄞\ud800"), max_size=40)


@given(texts, texts, st.booleans())
def test_pieces_join_to_the_texts_and_agree_where_they_are_the_same(left: str, right: str, tokenized: bool) -> None:
    base, other = differences(step(left, tokenized=tokenized), step(right))
    assert "".join(piece.text for piece in base) == left
    assert "".join(piece.text for piece in other) == right
    common = ["".join(piece.text for piece in pieces if not piece.differs) for pieces in (base, other)]
    assert common[0] == common[1]
    assert left != right or not any(piece.differs for piece in (*base, *other))
