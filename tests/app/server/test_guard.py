"""Who may ask: key, Host and Origin, looked at before anything else; the server lives on whatever comes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from coalm_lite.app.server.guard import host_name
from coalm_lite.app.server.settings import Access
from coalm_lite.app.shared import SharedDesk
from coalm_lite.runtime.scripted import ScriptedEngine
from tests.app.server.conftest import CHAT, KEY, Server, running

PAGE = "https://app.example"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that allows one more host and one page."""
    access = Access(key=KEY, hosts=("box.lan",), origins=(PAGE,))
    with SharedDesk(ScriptedEngine([])) as desk, running(desk, access=access) as server:
        yield server


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/models/nano", "/nothing", CHAT])
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer kéy"])
def test_a_wrong_key_is_401_on_every_path_before_anything_else(guarded: Server, path: str, given: str) -> None:
    with httpx.Client(base_url=guarded.address, trust_env=False) as client:
        method = "POST" if path == CHAT else "GET"
        response = client.request(method, path, headers={"Authorization": given.encode()} if given else {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["type"] == "authentication_error"
    assert KEY not in response.text


def test_health_and_the_description_need_no_key_and_the_right_one_opens(guarded: Server) -> None:
    with httpx.Client(base_url=guarded.address, trust_env=False) as client:
        assert client.get("/health").json() == {"status": "ok", "loaded": True}
        assert client.get("/openapi.json").json()["openapi"] == "3.1.0"
        assert client.get("/v1/models", headers={"Authorization": f"bearer  {KEY}"}).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/v1/models"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.168.1.5", "[::2]:80", "", "localhost.", "a b"],
)
def test_a_foreign_host_is_421_also_where_no_key_is_needed(guarded: Server, path: str, host: str) -> None:
    response = guarded.client.get(path, headers={"Host": host})
    assert (response.status_code, response.json()["error"]["code"]) == (421, "foreign_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8080", "127.8.8.8", "box.lan:80"])
def test_this_machine_and_allowed_hosts_are_served(guarded: Server, host: str) -> None:
    assert guarded.client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_two_hosts_or_none_are_refused(guarded: Server) -> None:
    for lines in ("Host: localhost\r\nHost: localhost\r\n", ""):
        with socket.create_connection(("127.0.0.1", guarded.port), 10) as connection:
            connection.sendall(f"GET /health HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            assert b" 400 " in connection.makefile("rb").readline()
    assert guarded.lives()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost", "https://app.example.evil", ""])
def test_a_foreign_origin_is_403_also_with_the_key(guarded: Server, origin: str) -> None:
    for response in (
        guarded.client.get("/v1/models", headers={"Origin": origin}),
        guarded.client.options(CHAT, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (403, "foreign_origin")
        assert "access-control-allow-origin" not in response.headers


def test_an_allowed_page_may_ask_and_read_refusals(guarded: Server) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-os"}
    with httpx.Client(base_url=guarded.address, trust_env=False, headers={"Origin": PAGE}) as client:
        preflight = client.options(CHAT, headers=asked)
        refused = client.get("/v1/models")
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == asked["Access-Control-Request-Headers"]
    allowed = guarded.client.get("/v1/models", headers={"Origin": PAGE})
    assert (refused.status_code, allowed.status_code) == (401, 200)
    for response in (preflight, refused, allowed):
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["vary"] == "Origin"


def test_unknown_paths_and_methods_have_errors_in_the_same_form(guarded: Server) -> None:
    missing, wrong = guarded.client.get("/nothing"), guarded.client.delete(CHAT)
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["allow"] == "POST"
    for response in (missing, wrong):
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("header", "name"),
    [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("x", "x"), (":80", "")],
)
def test_a_host_header_is_read(header: str, name: str) -> None:
    assert host_name(header) == name
