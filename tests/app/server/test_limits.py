"""What is too much: bytes, waiting, time. Each is refused by its own status or closed, and the server lives."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from coalm_lite.app.server.settings import Limits
from coalm_lite.app.shared import SharedDesk
from tests.app.server.conftest import CHAT, KEY, Server, running, scripted
from tests.app.talking import PacedEngine, until

HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
BODY = json.dumps({"model": "nano", "messages": [{"role": "user", "content": "hello"}]})


@pytest.fixture(scope="module")
def bounded() -> Iterator[Server]:
    """A server with short limits."""
    with scripted(["System: x"] * 40, limits=Limits(body_s=0.5, head_s=0.5)) as server:
        yield server


@contextlib.contextmanager
def paced(replies: int = 8, **limits: float) -> Iterator[tuple[PacedEngine, Server]]:
    """A server whose model writes a token only when it is allowed."""
    engine = PacedEngine(["System: " + "word " * 50] * replies)
    with SharedDesk(engine) as desk, running(desk, limits=Limits(**limits)) as server:  # type: ignore[arg-type]
        yield engine, server


def test_a_body_of_ten_megabytes_is_413_sent_in_one_piece_or_in_many(bounded: Server) -> None:
    body = b'{"model": "' + b"x" * (10 << 20) + b'"}'
    kind = {"Content-Type": "application/json"}
    for content in (body, iter([body[at : at + 65536] for at in range(0, len(body), 65536)])):
        response = bounded.client.post(CHAT, content=content, headers=kind)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
        assert bounded.lives()


def test_a_client_that_asks_before_it_sends_is_refused_at_once(bounded: Server) -> None:
    with socket.create_connection(("127.0.0.1", bounded.port), 10) as connection:
        connection.sendall(f"{HEAD}Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n".encode())
        assert b" 413 " in connection.makefile("rb").readline()


def test_another_kind_of_body_is_415(bounded: Server) -> None:
    for kind in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {}):
        assert bounded.client.post(CHAT, content=BODY, headers=kind).status_code == 415


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"\x00", b"\xff\xfe", b'{"model": 1}'])
def test_bad_json_is_400(bounded: Server, body: bytes) -> None:
    response = bounded.client.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")
    assert bounded.lives()


def test_a_body_that_comes_slowly_is_408_and_the_connection_ends(bounded: Server) -> None:
    with socket.create_connection(("127.0.0.1", bounded.port), 20) as connection:
        connection.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n{{".encode())
        answer = connection.makefile("rb").read()
    assert b" 408 " in answer.splitlines()[0]
    assert b"did not come within 0.5 s" in answer
    assert bounded.lives()


@pytest.mark.parametrize("begun", [b"", b"GET /health HTTP/1.1\r\nHost: loc"])
def test_a_head_that_comes_slowly_ends_the_connection(bounded: Server, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", bounded.port), 20) as connection:
        connection.sendall(begun)
        assert connection.recv(100) == b""
    assert bounded.lives()


def test_a_second_head_that_comes_slowly_ends_the_connection_too(bounded: Server) -> None:
    with socket.create_connection(("127.0.0.1", bounded.port), 20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        while connection.recv(1000):
            pass
    assert bounded.lives()


def test_what_is_no_http_is_400_and_a_head_without_end_is_refused(bounded: Server) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000):
        # It may be closed while the client is still sending.
        connect = socket.create_connection(("127.0.0.1", bounded.port), 20)
        with connect as connection, contextlib.suppress(OSError):
            connection.sendall(sent)
            assert b" 400 " in connection.makefile("rb").readline()
        assert bounded.lives()


def test_a_full_queue_is_429_with_when_to_come_again() -> None:
    with paced(parallel=1, queue=1) as (engine, server), ThreadPoolExecutor() as pool:
        asked = [pool.submit(server.chat, "hello") for _ in range(2)]
        assert until(lambda: server.served.line.length == 2)
        refused = server.chat("hello")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert server.lives()
        engine.leave.release(10_000)
        assert [each.result().status_code for each in asked] == [200, 200]
        assert server.chat("hello").status_code == 200


def streaming(server: Server) -> socket.socket:
    """A connection on which a stream has begun."""
    body = json.dumps({**json.loads(BODY), "stream": True})
    connection = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def in_one_piece(server: Server) -> socket.socket:
    """A connection on which a whole answer is waited for."""
    connection = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sendall(f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
    return connection


@pytest.mark.parametrize("ask", [streaming, in_one_piece])
def test_a_client_that_goes_away_cancels_its_answer_within_a_token(ask: Callable[[Server], socket.socket]) -> None:
    with paced() as (engine, server):
        with ask(server) as connection:
            engine.leave.release(9)
            assert until(lambda: engine.written == 9)
            if ask is streaming:
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert until(lambda: server.served.desk.state.cancelled == 1)
        assert engine.written <= 10
        assert until(lambda: server.served.line.length == 0)
        assert server.lives()


def test_one_that_goes_away_while_it_waits_leaves_the_queue() -> None:
    with paced(parallel=1, queue=1) as (engine, server):
        with streaming(server), in_one_piece(server):
            assert until(lambda: server.served.line.length == 2)
        assert until(lambda: server.served.line.length == 0)
        engine.leave.release(10_000)
        assert server.chat("hello").status_code == 200


def test_an_answer_that_takes_too_long_is_504() -> None:
    with paced(timeout_s=0.3) as (engine, server):
        response = server.chat("hello")
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
        assert until(lambda: server.served.desk.state.cancelled == 1)
        engine.leave.release(10_000)
        assert server.lives()


def test_a_stream_that_takes_too_long_ends_with_an_error_event() -> None:
    with paced(timeout_s=1.0) as (engine, server):
        engine.leave.release(12)
        response = server.chat("hello", stream=True)
        assert response.status_code == 200
        *_, last, nothing = response.text.split("\n\n")
        assert (json.loads(last.removeprefix("data: "))["error"]["code"], nothing) == ("timeout", "")


def test_the_servers_limit_of_tokens_cuts_an_answer() -> None:
    with scripted(["System: one two three four"], limits=Limits(max_tokens=15)) as server:
        answer = server.chat("hello", max_tokens=5000).json()
        assert answer["choices"][0]["message"]["content"] == "one two"
        assert answer["choices"][0]["finish_reason"] == "length"


def test_a_stop_lets_answers_end_in_time_and_then_cancels_them() -> None:
    began = time.monotonic()
    with paced(grace_s=0.5) as (engine, server), ThreadPoolExecutor() as pool:
        asked = pool.submit(server.chat, "hello")
        assert until(lambda: server.served.desk.state.answering == 1)
        pool.submit(lambda: None).result()
        stopping = pool.submit(_stop, server)
        response = asked.result(30)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "stopping")
        stopping.result(30)
        del engine
    assert time.monotonic() - began < 20


def _stop(server: Server) -> None:
    server.stop()
    with contextlib.suppress(httpx.TransportError):
        while server.client.get("/health").status_code:
            time.sleep(0.02)
