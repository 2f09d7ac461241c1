"""Generated calls for the dialects: any JSON arguments, names with dots, spaces and letters of any script."""

from __future__ import annotations

from hypothesis import strategies as st

from coalm_lite.types import JsonObject, JsonValue, ToolCall

_LETTERS = st.characters(codec="utf-8", categories=("L", "Nd"))
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)
SCALARS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False), TEXT
)


def _nested(inner: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    lists: st.SearchStrategy[JsonValue] = st.lists(inner, max_size=4)  # type: ignore[assignment]  # list is invariant
    objects: st.SearchStrategy[JsonValue] = st.dictionaries(TEXT, inner, max_size=4)  # type: ignore[assignment]
    return st.one_of(lists, objects)


VALUES: st.SearchStrategy[JsonValue] = st.recursive(SCALARS, _nested, max_leaves=8)
KEYS = st.one_of(
    st.sampled_from(("from", "class", "lambda", "None", "a", "book day", "start-date")),
    st.text(_LETTERS, min_size=1, max_size=10),
)
NAMES = st.one_of(
    st.sampled_from(("find_hotels", "math.gcd", "Get Weather", "a-b", "None", "thing v2.1")),
    st.lists(st.text(_LETTERS, min_size=1, max_size=8), min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from((" ", ".", "_", "-")).map(lambda joint: joint.join(parts))
    ),
)
ARGUMENTS: st.SearchStrategy[JsonObject] = st.dictionaries(KEYS, VALUES, max_size=4)
CALLS = st.lists(st.builds(ToolCall, NAMES, ARGUMENTS), max_size=8).map(tuple)
