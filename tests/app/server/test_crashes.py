"""An engine in a process of its own that is killed: 503 for who was asking, the next request is answered."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coalm_lite import models
from coalm_lite.app.isolated import IsolatedDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.server.settings import Limits
from tests.app.server.conftest import Server, objects, running, tool
from tests.app.talking import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a process is killed by POSIX's signal")
LONG = [tool("note", objects(text={"type": "string", "minLength": 1200, "maxLength": 1400}))]


@pytest.fixture(scope="module")
def path() -> Path:
    return models.shipped_model_path("coalm-nano.Q8_0.gguf")


@pytest.fixture
def isolated(path: Path) -> Iterator[Server]:
    """A server whose engine is in a process of its own."""
    spec = ModelSpec(path=path, threads=1, sequences=2)
    with IsolatedDesk(spec) as desk, running(desk, limits=Limits(parallel=2, max_tokens=1500)) as server:
        yield server


def kill(server: Server) -> None:
    desk = server.served.desk
    assert isinstance(desk, IsolatedDesk)
    assert until(lambda: desk.state.answering > 0)
    assert desk.pid is not None
    os.kill(desk.pid, signal.SIGKILL)


@pytest.mark.parametrize("stream", [False, True])
def test_a_killed_engine_is_503_and_the_next_request_is_answered(isolated: Server, stream: bool) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(isolated.chat, "write", tools=LONG, tool_choice="required", stream=stream)
        kill(isolated)
        response = asked.result(60)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_crashed")
    assert response.headers["retry-after"] == "1"
    again = isolated.chat("hello")
    assert again.status_code == 200
    assert again.json()["choices"][0]["message"]["content"]
    assert "coalm_lite_engine_restarts_total 1" in isolated.client.get("/metrics").text


def test_a_stream_that_has_begun_ends_with_the_error(isolated: Server) -> None:
    asked = {"model": "nano", "messages": [{"role": "user", "content": "hello"}], "stream": True, "temperature": 2}
    asked |= {"repeat_penalty": 1.9, "seed": 3, "max_tokens": 1500}
    for _ in range(20):  # most answers of this kind are long; one that ended before the kill says nothing
        with isolated.client.stream("POST", "/v1/chat/completions", json=asked) as response:
            assert response.status_code == 200
            lines = response.iter_lines()
            next(lines)
            kill_now(isolated)
            *_, last = [line for line in lines if line]
        if last != "data: [DONE]":
            assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_crashed"
            break
        asked["seed"] = int(str(asked["seed"])) + 1
    else:
        raise AssertionError("no stream was long enough")
    assert isolated.chat("hello").status_code == 200


def kill_now(server: Server) -> None:
    desk = server.served.desk
    assert isinstance(desk, IsolatedDesk)
    assert desk.pid is not None
    os.kill(desk.pid, signal.SIGKILL)
