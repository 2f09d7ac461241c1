from __future__ import annotations

from coalm_lite.runtime.token_texts import TokenTexts

PIECES = [b"", b"ab", b"a", b"bc", b"bd", b"a", b"c", b"", b"\xc3", b"\xbc", "ü".encode(), b"\xff"]
END = 7


def texts(pieces: list[bytes]) -> TokenTexts:
    return TokenTexts(len(pieces), pieces.__getitem__, lambda token: token == END)


def test_each_first_byte_has_its_single_byte_token_or_every_token_that_begins_with_it() -> None:
    assert sorted(texts(PIECES[:8]).openers.tolist()) == [2, 3, 4, 6]


def test_the_search_for_openers_ends_once_every_byte_was_found() -> None:
    asked: list[int] = []

    def piece(token: int) -> bytes:
        asked.append(token)
        return bytes([token])

    assert TokenTexts(128_256, piece, lambda _: False).openers.tolist() == list(range(256))
    assert asked == list(range(256))


def test_a_token_is_read_once() -> None:
    asked: list[int] = []

    def piece(token: int) -> bytes:
        asked.append(token)
        return b"x"

    read = TokenTexts(3, piece, lambda _: False)
    assert [read.piece(1), read.piece(1), read.piece(2)] == [b"x"] * 3
    assert asked == [1, 2]


def test_whole_characters_are_followed_by_texts_and_end_tokens_not_by_special_ones() -> None:
    allowed = texts(PIECES).first_tokens
    assert [token for token in range(len(PIECES)) if not allowed[token]] == [0, 9, 11]


def test_within_a_character_only_its_rest_may_follow() -> None:
    read = texts(PIECES)
    assert [token for token in range(len(PIECES)) if read.may_follow(b"\xc3", token)] == [END, 9]
