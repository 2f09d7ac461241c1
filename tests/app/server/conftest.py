"""The server on loopback, in a thread of the test's process, on the real model or on a scripted one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from coalm_lite import demo, dialects, models
from coalm_lite.app.desks import AppDesk
from coalm_lite.app.server.application import application
from coalm_lite.app.server.line import Line
from coalm_lite.app.server.running import Running, address_of, bound_socket
from coalm_lite.app.server.served import Served
from coalm_lite.app.server.settings import Access, Limits
from coalm_lite.app.shared import SharedDesk
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.tools import Toolbox
from coalm_lite.types import JsonObject

KEY = "a-key-of-the-tests"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Server:
    """A running server, and a client that has its key."""

    address: str
    served: Served
    client: httpx.Client
    stop: Callable[[], None]

    def chat(self, *said: str | JsonObject, **more: Any) -> httpx.Response:
        """The answer to messages; a text is the user's."""
        messages = [{"role": "user", "content": each} if isinstance(each, str) else each for each in said]
        return self.client.post(CHAT, json={"model": self.served.name, "messages": messages, **more})

    def lives(self) -> bool:
        """Whether it still answers."""
        return self.client.get("/health").status_code == 200

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@contextmanager
def running(
    desk: AppDesk, *, dialect: str = "cra", limits: Limits | None = None, access: Access | None = None
) -> Iterator[Server]:
    """The server on a desk, which stays the caller's."""
    limits = limits or Limits()
    line = Line(limits.parallel, limits.queue)
    served = Served("nano", desk, dialects.get(dialect), line)
    listening = bound_socket("127.0.0.1", 0)
    address = address_of(listening)
    run = Running(application(served, access or Access(key=KEY), limits), listening, line, limits)
    ready = threading.Event()
    thread = threading.Thread(target=run.run, args=(ready.set,))
    thread.start()
    assert ready.wait(20)
    head = {"Authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=address, headers=head, timeout=60, trust_env=False) as client:
            yield Server(address, served, client, run.stop)
    finally:
        run.stop()
        thread.join(30)
        line.close()
        assert not thread.is_alive()


@contextmanager
def scripted(replies: Sequence[str], context_tokens: int = 8192, **options: Any) -> Iterator[Server]:
    """The server on a model that writes these replies."""
    with SharedDesk(ScriptedEngine(replies, context_tokens)) as desk, running(desk, **options) as server:
        yield server


@pytest.fixture(scope="session")
def nano_desk() -> Iterator[SharedDesk]:
    """coalm-nano with four sequences; one thread, since tests share the machine."""
    path = models.shipped_model_path("coalm-nano.Q8_0.gguf")
    with SharedDesk(LlamaEngine.load(path, threads=1, sequences=4, room_tokens=8192)) as desk:
        yield desk


@pytest.fixture(scope="session")
def nano(nano_desk: SharedDesk) -> Iterator[Server]:
    """The server on coalm-nano."""
    with running(nano_desk) as server:
        yield server


@pytest.fixture(scope="session")
def town() -> list[JsonObject]:
    """The demo town's tools, in OpenAI's form."""
    specs = Toolbox(demo.tools()).specs
    return [tool(spec.name, spec.parameters, spec.description) for spec in specs]


def tool(name: str, parameters: JsonObject | None = None, description: str = "") -> JsonObject:
    """A tool in OpenAI's form."""
    described: JsonObject = {"name": name, "description": description}
    return {"type": "function", "function": described | ({} if parameters is None else {"parameters": parameters})}


def objects(**properties: JsonObject) -> JsonObject:
    """The schema of an object with these properties, all required."""
    return {"type": "object", "properties": properties, "required": list(properties)}
