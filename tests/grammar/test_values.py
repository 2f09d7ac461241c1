"""The value files: what json.dumps and repr write is accepted, and what is accepted reads back as a plain value."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.grammar import fill_frame
from coalm_lite.grammar.syntax import quoted
from tests.grammar.gbnf_interpreter import Grammar
from tests.grammar.strategies import Floats, Integers, Texts, tool_of, unhurried

NEAR_BMP_EDGES = st.sampled_from(
    "\x00\x1f\x7f\x80\x9f\xa0\u2027\u2028\u2029\u202a\ud7ff\ue000\uffff\U00010000\U0010ffff"
)
Characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\"\\\n\r\t[](){},:=") | NEAR_BMP_EDGES
READERS: dict[str, Callable[[str], object]] = {"hammer": json.loads, "bfcl": ast.literal_eval}
GRAMMARS = {
    (dialect, kind): Grammar(fill_frame(dialect, [tool_of({"type": kind})]))
    for dialect in READERS
    for kind in ("string", "integer", "number", "boolean", "null")
}


def _accepts(dialect: str, kind: str, written: str) -> bool:
    around = {"hammer": '[{{"name": "f", "arguments": {{"v": {}}}}}]', "bfcl": "[f(v={})]"}
    return GRAMMARS[dialect, kind].accepts(around[dialect].format(written))


@unhurried
@given(text=st.text(Characters))
def test_every_text_is_accepted_as_json_dumps_and_repr_write_it(text: str) -> None:
    assert _accepts("hammer", "string", json.dumps(text, ensure_ascii=False))
    assert _accepts("hammer", "string", json.dumps(text, ensure_ascii=True))
    assert _accepts("bfcl", "string", repr(text))


@unhurried
@given(value=Integers | Floats)
def test_every_number_is_accepted_as_json_dumps_and_repr_write_it(value: float) -> None:
    assert _accepts("hammer", "number", json.dumps(value))
    assert _accepts("bfcl", "number", repr(value))
    assert _accepts("hammer", "integer", json.dumps(value)) == isinstance(value, int)


@unhurried
@given(
    inside=st.text("abu01d8fDFUx'\"\\\né\u2028", max_size=14),
    quotes=st.sampled_from("'\""),
    dialect=st.sampled_from(sorted(READERS)),
)
def test_an_accepted_string_reads_back_as_encodable_text(inside: str, quotes: str, dialect: str) -> None:
    written = quotes + inside + quotes
    if _accepts(dialect, "string", written):
        value = READERS[dialect](written)
        assert isinstance(value, str)
        value.encode()
        assert not {"\n", "\r", "\u2028"} & set(inside) or dialect == "hammer"


@unhurried
@given(written=st.text("0123456789-+.eE", min_size=1, max_size=9), dialect=st.sampled_from(sorted(READERS)))
def test_an_accepted_number_reads_back_as_a_finite_number(written: str, dialect: str) -> None:
    if _accepts(dialect, "number", written):
        value = READERS[dialect](written)
        assert isinstance(value, (int, float)) and abs(value) < float("inf")


@pytest.mark.parametrize(
    ("kind", "dialect", "written"),
    [
        *[
            ("string", "hammer", text)
            for text in ('"\\ud83d"', '"\\ude00\\ud83d"', '"a', "'a'", '"\n"', '"\\x41"', '"\x1f"')
        ],
        *[
            ("string", "bfcl", text)
            for text in ("'\\ud83d'", "'\\U0000d800'", "'\\U00110000'", "'''a'''", "f'a'", "b'a'")
        ],
        *[
            ("string", "bfcl", text)
            for text in ("'a' 'b'", "'\x7f'", "'\x85'", "'\u2028'", "'\\N{BEE}'", "'\\8'", "'it's'")
        ],
        *[("integer", "hammer", text) for text in ("01", "-0", "1.0", "1e3", "+1", "1" * 19, " 1", "")],
        *[
            ("number", "hammer", text)
            for text in ("1.8e308", "2e308", "1e309", "10e307", "1.", ".5", "NaN", "Infinity")
        ],
        ("number", "hammer", "0." + "1" * 21),
        ("boolean", "hammer", "True"),
        ("boolean", "bfcl", "true"),
        ("null", "hammer", "None"),
        ("null", "bfcl", "null"),
    ],
)
def test_what_is_not_canonical_or_not_plain_is_not_accepted(kind: str, dialect: str, written: str) -> None:
    assert not _accepts(dialect, kind, written)


def test_escaped_characters_beyond_the_bmp_are_accepted() -> None:
    assert _accepts("hammer", "string", '"\\ud83d\\ude86"')
    assert _accepts("bfcl", "string", "'\\U0001f686 \\U0010ffff \\U0000abcd \\x41 \\u20ac'")
    assert _accepts("bfcl", "string", '"it\'s \\"so\\""')


@unhurried
@given(text=st.text(Characters), other=Texts)
def test_a_quoted_literal_is_exactly_its_text(text: str, other: str) -> None:
    grammar = Grammar(f"root ::= {quoted(text)}")
    assert grammar.accepts(text)
    assert grammar.accepts(other) == (other == text)
