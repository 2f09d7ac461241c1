"""Java and JavaScript values written as source text, as BFCL is seen to read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.evals.bfcl.java_text import JAVA_TYPES, read_java
from coalm_lite.evals.bfcl.javascript_text import JAVASCRIPT_TYPES, read_javascript
from coalm_lite.types import JsonValue

JAVA: list[tuple[str, str, str, JsonValue]] = [
    ("12", "integer", "", 12),
    ("-12", "short", "", -12),
    ("12L", "long", "", 12),
    ("12", "long", "", "12"),  # a long without its letter is taken for a name
    ("1.5f", "float", "", 1.5),
    ("1.5", "float", "", "1.5"),
    ("1.5", "double", "", 1.5),
    ("2e3", "double", "", 2000.0),
    ("true", "boolean", "", True),
    ("True", "boolean", "", "True"),
    ('"reed"', "String", "", '"reed"'),  # quotes stay
    ("pondService", "ArrayList", "String", "pondService"),
    ("new ArrayList<String>()", "ArrayList", "String", []),
    ('new ArrayList<String>(Arrays.asList("reed", "rush"))', "ArrayList", "String", ["reed", "rush"]),
    ("new ArrayList<>(Arrays.asList(1, rush))", "ArrayList", "integer", [1, "rush"]),
    ('new ArrayList<>(Arrays.asList("a", 1, true, 2L, null))', "ArrayList", "", ["a", 1, True, 2, "null"]),
    ('new ArrayList<>(Arrays.asList("a, b"))', "ArrayList", "any", ['"a', 'b"']),  # cut at each comma
    ('new ArrayList<String>() {{ add("reed"); add("rush"); }}', "ArrayList", "String", ["reed", "rush"]),
    ("List.of(1)", "ArrayList", "integer", "List.of(1)"),
    ("new int[]{3, 4}", "Array", "integer", [3, 4]),
    ('new String[]{"reed"}', "Array", "String", ['"reed"']),  # of an array's items the quotes stay
    ("new int[]{}", "Array", "integer", []),
    ("new HashMap<>()", "HashMap", "", {}),
    ('new HashMap<String, Object>() {{ put("reed", 2); put("b", "x y"); }}', "HashMap", "", {"reed": 2, "b": "x y"}),
    ('Map.of("reed", 2)', "HashMap", "", 'Map.of("reed", 2)'),
]
JAVASCRIPT: list[tuple[str, str, str, JsonValue]] = [
    ("12", "integer", "", 12),
    ("12.0", "integer", "", "12.0"),
    ("12", "float", "", 12.0),
    ("1e3", "float", "", "1e3"),
    ("12n", "Bigint", "", 12),
    ("12", "Bigint", "", "12"),
    ("true", "Boolean", "", True),
    ("'reed'", "String", "", "reed"),
    ("reed", "String", "", "reed"),
    ('"reed"', "any", "", '"reed"'),
    ("[]", "array", "String", []),
    ("[\"reed\", 'rush']", "array", "String", ["reed", "rush"]),
    ("[1, rush]", "array", "integer", [1, "rush"]),
    ("[[1, 2], [a]]", "array", "", [[1, 2], ["a"]]),
    ("new Array(1, 2)", "array", "integer", [1, 2]),
    ("new Array([1], [2])", "array", "", [[1], [2]]),
    ("pondList", "array", "integer", "pondList"),
    ("{}", "dict", "", {}),
    ('{reed: 1, "rush": "x, y", b: true}', "dict", "", {"reed": 1, "rush": "x, y", "b": True}),
    ('{reed: "5", b: [1, 2]}', "dict", "", {"reed": 5, "b": [1, 2]}),  # quotes go before the look
    ("pond", "dict", "", "pond"),
]


@pytest.mark.parametrize(("text", "kind", "item", "value"), JAVA)
def test_java_is_read_as_bfcl_reads_it(text: str, kind: str, item: str, value: JsonValue) -> None:
    found = read_java(text, kind, item)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(("text", "kind", "item", "value"), JAVASCRIPT)
def test_javascript_is_read_as_bfcl_reads_it(text: str, kind: str, item: str, value: JsonValue) -> None:
    found = read_javascript(text, kind, item)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("kind", ["Set", "Queue", "Stack", "Hashtable", "furlong"])
def test_a_java_type_that_bfcl_does_not_read_is_said(kind: str) -> None:
    with pytest.raises(ValueError, match=f"no Java type '{kind}'"):
        read_java("x", kind)


def test_a_javascript_type_that_bfcl_does_not_read_is_said() -> None:
    with pytest.raises(ValueError, match="no JavaScript type 'boolean'"):
        read_javascript("true", "boolean")


PIECES = st.lists(
    st.sampled_from(["new ArrayList<>", "new HashMap<a>()", *"[](){},:\"' x\n", "1", "2L", ".5", "put", "add"])
)


@given(PIECES.map("".join), st.sampled_from(sorted(set(JAVA_TYPES) - {"Set", "Queue", "Stack", "Hashtable"})))
def test_any_java_text_is_read_or_stays_as_it_is(text: str, kind: str) -> None:
    found = read_java(text, kind)
    assert isinstance(found, JAVA_TYPES[kind]) or found == text


@given(PIECES.map("".join), st.sampled_from(sorted(JAVASCRIPT_TYPES)))
def test_any_javascript_text_is_read_or_stays_as_it_is(text: str, kind: str) -> None:
    found = read_javascript(text, kind)
    assert isinstance(found, JAVASCRIPT_TYPES[kind]) or found == text or found == text.strip()
