"""What the Hub says of a file: the right one, its facts, and every refusal with a way out."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from coalm_lite.errors import CoalmError, HubError, UsageError
from coalm_lite.hub.client import HubClient, has_quant
from coalm_lite.hub.places import HubPlace
from tests.hub.conftest import KEY, LICENSE, MODEL, MODEL_BYTES, QUICK, REPOSITORY
from tests.hub.hub_server import OTHER_TOKEN, TOKEN, Hub, Place, Refusal

PLACE = HubPlace(REPOSITORY, MODEL)


def client(offline: bool = False) -> HubClient:
    return HubClient(offline, QUICK)


def test_a_file_is_found_by_path_with_its_facts(hub: Hub) -> None:
    found = client().find(PLACE)
    assert (found.repository, found.path, found.size_bytes) == (REPOSITORY, MODEL, len(MODEL_BYTES))
    assert found.sha256 == found.etag == hub.hash_of(KEY)
    assert found.revision == hub.commit_of(REPOSITORY)
    assert (found.license, found.gated, found.branch) == (LICENSE, False, "main")


def test_a_file_in_git_has_gits_hash(hub: Hub) -> None:
    found = client().find(HubPlace(REPOSITORY, "README.md"))
    digest = found.new_digest()
    digest.update(b"A model for tests.\n")
    assert (found.sha256, found.etag) == ("", digest.hexdigest())


def test_an_older_revision_is_found_as_it_was(hub: Hub) -> None:
    old = hub.commit_of(REPOSITORY)
    hub.replace(KEY, b"newer")
    assert client().find(HubPlace(REPOSITORY, MODEL, revision=old)).size_bytes == len(MODEL_BYTES)
    assert client().find(PLACE).size_bytes == 5


@pytest.mark.parametrize("quant", ["Q4_K_M", "q4_k_m"])
def test_a_quant_finds_its_file_and_no_longer_name(hub: Hub, quant: str) -> None:
    assert client().find(HubPlace(REPOSITORY, quant=quant)).path == MODEL
    assert client().find(HubPlace(REPOSITORY, quant="Q4_K")).path == "CoALM-test.Q4_K.gguf"


@pytest.mark.parametrize(
    ("path", "quant", "fits"),
    [
        ("m.Q4_K_M.gguf", "Q4_K", False),
        ("m.Q4_K_M.gguf", "Q4_K_M", True),
        ("m-Q4_K_M-imatrix.gguf", "q4_k_m", True),
        ("m_Q4_0_imatrix.gguf", "Q4_0", True),
        ("m.Q4_0_4_4.gguf", "Q4_0", False),
        ("m.IQ4_XS.gguf", "Q4_XS", False),
        ("m.Q6_K_L.gguf", "Q6_K", False),
        ("m.f16.gguf", "F16", True),
        ("m.bf16.gguf", "F16", False),
        ("Q8_0/m.gguf", "Q8_0", False),
        ("m.gguf", "", True),
    ],
)
def test_a_quant_is_found_in_a_name_only_whole(path: str, quant: str, fits: bool) -> None:
    assert has_quant(path, quant) is fits


def test_a_quant_that_nobody_published_is_answered_with_those_that_are(hub: Hub) -> None:
    with pytest.raises(
        HubError, match=r"none of the repository's GGUF files: .*Q4_K\.gguf', 'CoALM-test\.Q4_K_M\.gguf"
    ):
        client().find(HubPlace(REPOSITORY, quant="Q2_K"))


def test_several_fitting_files_are_listed(hub: Hub) -> None:
    with pytest.raises(
        UsageError, match=r"fits several files: 'CoALM-test\.Q4_K\.gguf', 'CoALM-test\.Q4_K_M\.gguf'"
    ) as caught:
        client().find(HubPlace(REPOSITORY))
    assert f"hf:{REPOSITORY}/PATH" in caught.value.hint


def test_a_model_in_several_files_is_refused_by_quant_and_by_path(hub: Hub) -> None:
    hub.faults.listed_names = [f"m.Q8_0-0000{part}-of-00002.gguf" for part in (1, 2)]
    for place in (HubPlace(REPOSITORY, quant="Q8_0"), HubPlace(REPOSITORY, hub.faults.listed_names[0])):
        with pytest.raises(HubError, match="split into 2 files"):
            client().find(place)


@pytest.mark.parametrize(
    "name", ["../../m.Q8_0.gguf", "/m.Q8_0.gguf", "m\0.Q8_0.gguf", "m" * 300 + ".Q8_0.gguf", "nul.Q8_0.gguf"]
)
def test_a_hostile_name_in_the_listing_is_refused_before_it_is_asked_for(hub: Hub, name: str) -> None:
    hub.faults.listed_names = [name]
    with pytest.raises(UsageError, match="cannot be a file's name"):
        client().find(HubPlace(REPOSITORY, quant="Q8_0"))
    assert {request.where for request in hub.requests} == {"api"}


def test_control_characters_in_listed_names_never_reach_the_terminal(hub: Hub) -> None:
    hub.faults.listed_names = ["\x1b[2J\x07.gguf", "\u202e.gguf"]
    with pytest.raises(UsageError) as caught:
        client().find(HubPlace(REPOSITORY))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(("field", "value"), [("etag", "../../etc/passwd"), ("etag", "abc"), ("commit", "../main")])
def test_a_hash_or_commit_that_is_none_is_refused(hub: Hub, field: str, value: str) -> None:
    setattr(hub.faults, field, value)
    with pytest.raises(HubError):
        client().find(PLACE)


def test_the_first_bytes_are_read_without_the_rest(hub: Hub) -> None:
    found = client().find(PLACE)
    assert client().read_start(found, 1000) == MODEL_BYTES[:1000]
    assert hub.body_bytes_sent() == 1000
    assert client().read_start(found, 10**9) == MODEL_BYTES
    hub.faults.ignore_ranges = True
    assert client().read_start(found, 1000) == MODEL_BYTES[:1000]


def refusal_of(place: HubPlace) -> CoalmError:
    with pytest.raises(HubError) as caught:
        client().find(place)
    return caught.value


def test_a_gated_repository_says_how_to_get_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[REPOSITORY].gated = True
    error = refusal_of(PLACE)
    assert "gated" in error.message
    assert f"{hub.endpoint}/{REPOSITORY}" in error.hint and "hf auth login" in error.hint and "HF_TOKEN" in error.hint
    monkeypatch.setenv("HF_TOKEN", OTHER_TOKEN)
    assert "has no access" in refusal_of(PLACE).message
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    found = client().find(PLACE)
    assert found.gated
    assert client().read_start(found, 10) == MODEL_BYTES[:10]


def test_a_private_or_misspelled_repository_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[REPOSITORY].private = True
    assert "private or misspelled" in refusal_of(PLACE).message
    assert "private or misspelled" in refusal_of(HubPlace("someone/nothing", "m.gguf")).message
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert client().find(PLACE).path == MODEL


def test_a_wrong_token_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    error = refusal_of(PLACE)
    assert "does not know this token" in error.message
    assert "hf_wrong" not in error.message + error.hint


def test_a_missing_file_and_a_missing_revision_are_told_apart(hub: Hub) -> None:
    assert "no such file" in refusal_of(HubPlace(REPOSITORY, "none.gguf")).message
    assert "no such revision" in refusal_of(HubPlace(REPOSITORY, MODEL, revision="none")).message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_hub_is_asked_again(hub: Hub, status: int) -> None:
    hub.faults.refusals = [
        Refusal(status, where, {"Retry-After": "0"}) for where in ("api", "api", "resolve", "resolve")
    ]
    told: list[str] = []
    assert HubClient(waits=QUICK, tell=told.append).find(PLACE).path == MODEL
    assert not hub.faults.refusals
    assert len(told) >= 2 and all(f"status {status}" in text for text in told)


def test_a_hub_that_stays_busy_is_an_error_in_the_end(hub: Hub) -> None:
    hub.faults.refusals = [Refusal(503, "api")] * 50
    assert "status 503" in refusal_of(PLACE).message
    assert len(hub.requests) == QUICK.tries


def test_without_a_network_one_message_names_the_address_and_the_embedded_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        error = refusal_of(PLACE)
    assert address in error.message and "refused" in error.message
    assert "coalm-lite chat nano" in error.hint


def test_a_failing_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
        monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
        error = refusal_of(PLACE)
    assert "through the proxy 127.0.0.1" in error.message
    assert "secret" not in error.message + error.hint


@pytest.mark.parametrize("variable", ["", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    found = client().find(PLACE)
    hub.requests.clear()
    if variable:
        monkeypatch.setenv(variable, "1")
    asked = client(offline=not variable)
    for ask in (lambda: asked.find(PLACE), lambda: asked.read_start(found, 10)):
        with pytest.raises(HubError, match=variable or "--offline"):
            ask()
    assert not hub.requests


@pytest.mark.parametrize("address", ["ftp://hub", "hub", "http://", "http://hub:port"])
def test_an_endpoint_that_is_no_address_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        client().find(PLACE)


@pytest.mark.parametrize("where", ["api", "resolve"])
def test_a_login_page_in_the_hubs_place_is_recognised(hub: Hub, where: Place) -> None:
    hub.faults.refusals = [Refusal(200, where, {"Content-Type": "text/html"})]
    assert "does not answer as a Hub" in refusal_of(PLACE).message


def test_link_works_through_the_client(hub: Hub, tmp_path: Path) -> None:
    found = client().find(PLACE)
    blob = tmp_path / f"models--{REPOSITORY.replace('/', '--')}" / "blobs" / found.etag
    blob.parent.mkdir(parents=True)
    blob.write_bytes(MODEL_BYTES)
    assert client(offline=True).link(found, tmp_path).read_bytes() == MODEL_BYTES
