from __future__ import annotations

from coalm_lite.runtime.openers import opening_tokens


def test_each_first_byte_has_its_single_byte_token_or_every_token_that_begins_with_it() -> None:
    pieces = [b"", b"ab", b"a", b"bc", b"bd", b"a", b"c"]
    assert sorted(opening_tokens(lambda token: pieces[token], len(pieces))) == [2, 3, 4, 6]


def test_the_search_ends_once_every_byte_was_found() -> None:
    asked: list[int] = []

    def piece(token: int) -> bytes:
        asked.append(token)
        return bytes([token])

    assert opening_tokens(piece, 128_256) == list(range(256))
    assert asked == list(range(256))
