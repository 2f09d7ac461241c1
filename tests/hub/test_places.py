"""Places on the Hub: what a user may write, and names that must not become paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.errors import UsageError
from coalm_lite.hub.places import HubPlace, check_file_name, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("hf:o/r/m.gguf", HubPlace("o/r", "m.gguf")),
        ("hf:o/r/dir/deep/m.Q4_K_M.gguf", HubPlace("o/r", "dir/deep/m.Q4_K_M.gguf")),
        ("hf:o/r:Q4_K_M", HubPlace("o/r", quant="Q4_K_M")),
        ("hf:o/r", HubPlace("o/r")),
        ("hf:o-1/r.x_2@v1.0/m.gguf", HubPlace("o-1/r.x_2", "m.gguf", revision="v1.0")),
        ("hf:o/r@v1.0:Q8_0", HubPlace("o/r", quant="Q8_0", revision="v1.0")),
        ("hf:o/r@refs/pr/7/m.gguf", HubPlace("o/r", "m.gguf", revision="refs/pr/7")),
    ],
)
def test_a_place_is_read_and_written_back(text: str, place: HubPlace) -> None:
    assert parse_place(text) == place
    assert place.text == text


@pytest.mark.parametrize(
    "text",
    ["", "hf:", "o/r/m.gguf", "hf:o", "hf:/o/r", "hf:o/r/", "hf:o/r:", "hf:o//m.gguf", "hf:o/r@/m.gguf", "hf:o/r\n:Q4"],
)
def test_what_is_no_place_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_place(text)
    assert "hf:owner/repo" in caught.value.hint


@pytest.mark.parametrize("name", ["..", "a--b/c", "a..b/c", "-a/b", "a/b.", "a/.b", "a/b c", "a/" + "b" * 97, "a/b/c"])
def test_a_repository_that_the_hub_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no repository's name"):
        HubPlace(name)


HOSTILE = {
    "../m.gguf": "leads elsewhere",
    "a/../../m.gguf": "leads elsewhere",
    "./m.gguf": "leads elsewhere",
    "/etc/passwd": "slash",
    "a//m.gguf": "slash",
    "a/": "slash",
    "": "slash",
    "a\\..\\m.gguf": "not allowed",
    "C:m.gguf": "not allowed",
    "m.gguf:stream": "not allowed",
    "m?.gguf": "not allowed",
    "m\0.gguf": "cannot be seen",
    "m\n.gguf": "cannot be seen",
    "\x1b[2Jm.gguf": "cannot be seen",
    "m\u202efugg.gguf": "cannot be seen",
    "m\udcff.gguf": "cannot be seen",
    "m.gguf.": "drops",
    "m.gguf ": "drops",
    "CON": "device",
    "nul.gguf": "device",
    "a/Com1.Q4_K_M.gguf": "device",
    "lpt\u00b9": "device",
    "x" * 300 + ".gguf": "longer than 255",
    "\u00e4" * 130: "longer than 255",
}


@pytest.mark.parametrize(("path", "reason"), HOSTILE.items(), ids=[ascii(path)[:30] for path in HOSTILE])
def test_a_hostile_name_is_refused_with_its_reason_and_shown_harmlessly(path: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        check_file_name(path)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    if path:
        with pytest.raises(UsageError):
            HubPlace("o/r", path)
        with pytest.raises(UsageError):
            parse_place(f"hf:o/r/{path}")


@pytest.mark.parametrize(
    "path", ["m.gguf", "a b/m (1).gguf", "console.gguf", "nullable", "..m", "x" * 255, "\u6a21\u578b.gguf"]
)
def test_an_unusual_but_harmless_name_is_taken(path: str) -> None:
    check_file_name(path)


@given(st.text(max_size=40))
def test_whatever_is_taken_stays_below_its_folder(path: str) -> None:
    try:
        check_file_name(path)
    except UsageError:
        return
    parts = path.split("/")
    assert all(part and part not in (".", "..") and part.isprintable() for part in parts)
    assert not path.startswith("/")
