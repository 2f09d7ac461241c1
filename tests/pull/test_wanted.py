from __future__ import annotations

import pytest

from coalm_lite.catalog import shipped_catalog
from coalm_lite.errors import CoalmError, UsageError
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.pull.wanted import NotPublishedError, describe, wanted_place

KNOWN = shipped_catalog()


@pytest.mark.parametrize("name", KNOWN.files)
def test_a_name_of_the_catalog_means_its_file(name: str) -> None:
    file = KNOWN.files[name]
    assert wanted_place(name) == HubPlace(file.repository, file.path)


def test_a_place_on_the_hub_means_itself() -> None:
    assert wanted_place("hf:o/r@v1/sub/x.gguf") == HubPlace("o/r", "sub/x.gguf", "", "v1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nano", "nano is part of coalm-lite, so there is nothing to pull"),
        ("./x.gguf", "is the path of a file"),
        ("8b", "8b has several files"),
        ("8b-q9", "there is no model called '8b-q9'"),
        ("8b-q44", "there is no model called"),
        ("https://host/x", "is a server"),
        ("hf:", "is no place on the Hub"),
    ],
)
def test_what_cannot_be_pulled_is_wrong_usage_that_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        wanted_place(text)
    assert caught.value.hint


@pytest.mark.parametrize(("text", "name"), [("70b-q4", "70b-q4"), ("405b", "405b-q4"), ("70b", "70b-q4")])
def test_what_nobody_published_says_what_it_can_be_built_from(text: str, name: str) -> None:
    with pytest.raises(NotPublishedError, match=f"nobody has published {name}") as caught:
        wanted_place(text)
    size = caught.value.size
    assert (caught.value.name, caught.value.quant, size.name) == (name, "q4", text.partition("-")[0])
    assert size.checkpoint in caught.value.message


def remote(repository: str, path: str) -> RemoteFile:
    return RemoteFile(repository, path, "a" * 40, "b" * 64, 10)


def test_a_file_of_the_catalog_is_known_however_it_was_named() -> None:
    found = describe(
        HubPlace("Mradermacher/coalm-8b-gguf"), remote("Mradermacher/coalm-8b-gguf", "CoALM-8B.Q5_K_M.gguf")
    )
    assert (found.name, found.size, found.quant) == ("8b-q5", KNOWN.sizes["8b"], "Q5_K_M")


def test_another_file_is_named_by_its_place() -> None:
    found = describe(HubPlace("o/r", quant="q4_0"), remote("o/r", "a/x.Q4_0.gguf"))
    assert (found.name, found.size, found.quant) == ("hf:o/r/a/x.Q4_0.gguf", None, "q4_0")


def test_every_error_is_ours() -> None:
    for text in ("", " ", "-", "\0", "8b-", "hf:\0", "x" * 500):
        with pytest.raises(CoalmError):
            wanted_place(text)
