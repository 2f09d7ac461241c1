"""The real llama-server as a server: needs its program, named by COALM_LITE_LLAMA_SERVER; else it is skipped."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from coalm_lite.decoding.generate import Generated, generate
from coalm_lite.dialects import hammer
from coalm_lite.errors import ContextFullError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.remote import RemoteServer
from coalm_lite.store.names import resolve_model
from coalm_lite.types import Message, Prompt, Sampling, ToolSpec

PROGRAM = os.environ.get("COALM_LITE_LLAMA_SERVER", "")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [ToolSpec("get_weather", "The weather in a city.", CITY)]
TOKENS = 24

pytestmark = pytest.mark.skipif(not PROGRAM, reason="COALM_LITE_LLAMA_SERVER names no llama-server")


def prompt(city: str) -> Prompt:
    return hammer.render([Message("user", f"What is the weather in {city}?")], TOOLS, short=True)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = ["-m", str(resolve_model("nano").path), "-c", "2048", "-np", "1", "-t", "1"]
    # Without flash attention, as coalm-lite computes Q8_0: with it one answer of twenty is another one.
    options = ["--flash-attn", "off", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([PROGRAM, *model, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def wait_for(url: str) -> None:
    for _ in range(300):
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def test_its_answers_and_tokens_are_those_of_the_engine_here(address: str) -> None:
    with (
        RemoteServer(address, logprobs=3) as remote,
        LlamaEngine.load(resolve_model("nano").path, context_tokens=2048, threads=1) as engine,
    ):
        assert (remote.model.name, remote.model.owner) == ("coalm-nano.Q8_0.gguf", "llamacpp")
        assert (remote.model.quant, remote.model.context_tokens, remote.top_logprobs) == ("Q8_0", 2048, 3)
        assert remote.model.version
        for city in ("Kyiv", "Rome", "Ely"):
            there = remote.complete(prompt(city), TOKENS)
            tokens = engine.tokenize(prompt(city))
            *_, here = generate(engine, tokens, Sampling(max_tokens=TOKENS), None, Cancel())
            assert isinstance(here, Generated)
            assert there.usage.prompt_tokens == len(tokens), "one begin-of-text, and markers as one token each"
            assert (there.text, there.tokens, there.end) == (here.text, here.tokens, here.reason)
            assert [choice.ids[0] for choice in there.choices][: len(there.tokens)] == list(there.tokens)
            assert there.ends[-1] == len(there.text.encode())


def test_a_prompt_without_room_is_told_as_such(address: str) -> None:
    with RemoteServer(address) as remote, pytest.raises(ContextFullError, match="exceeds the available context"):
        remote.complete(prompt("Rome " * 3000), TOKENS)
