from __future__ import annotations

import json

import pytest

from coalm_lite import paths
from coalm_lite.pull.licenses import accept, is_accepted, is_non_commercial


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cc-by-nc-4.0", True),
        ("CC-BY-NC-SA-3.0", True),
        ("creativeml-non-commercial", True),
        ("noncommercial", True),
        ("apache-2.0", False),
        ("llama3.1", False),
        ("ncsa", False),
        ("franco", False),
        ("", False),
    ],
)
def test_non_commercial_licences_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_non_commercial(name) is expected


def test_an_accepted_licence_is_remembered_and_others_are_not() -> None:
    assert not is_accepted("one")
    accept("one")
    accept("two")
    accept("one")
    assert (is_accepted("one"), is_accepted("two"), is_accepted("three")) == (True, True, False)
    assert json.loads((paths.config_dir() / "accepted-licenses.json").read_text()) == ["one", "two"]


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff", b"[1, null]"])
def test_after_damage_the_user_is_asked_again(content: bytes) -> None:
    paths.config_dir().mkdir(parents=True)
    (paths.config_dir() / "accepted-licenses.json").write_bytes(content)
    assert not is_accepted("one")
    accept("one")
    assert is_accepted("one")
