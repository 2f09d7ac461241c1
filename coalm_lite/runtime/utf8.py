"""Whether bytes are a beginning of UTF-8 text. llama.cpp's grammars let some sequences pass that are none."""

from __future__ import annotations

import codecs

_new_decoder = codecs.getincrementaldecoder("utf-8")


def unfinished(data: bytes) -> bytes | None:
    """The bytes of a character that `data` ends within, b"" between characters; None when no text begins like this."""
    if data.isascii():
        return b""
    decoder = _new_decoder("strict")
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return None
    rest = decoder.getstate()[0]
    return (
        None if rest[:1] == b"\xed" and rest[1:2] >= b"\xa0" else rest
    )  # a surrogate: the decoder sees it a byte later
