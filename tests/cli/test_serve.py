"""`coalm-lite serve` as a process: its line for programs, its key, its signals, and what it refuses to start with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.cli.conftest import CommandLine

ENDLESS = {"model": "nano", "messages": [{"role": "user", "content": "write"}], "tool_choice": "required"}
ENDLESS["tools"] = [
    {
        "type": "function",
        "function": {
            "name": "note",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string", "minLength": 3000}},
                "required": ["text"],
            },
        },
    }
]


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process, and the line that it wrote when it was ready."""
    command = [sys.executable, "-m", "coalm_lite.cli", "serve", "nano", "--port", "0", "--json", "--threads", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, *arguments], stdout=pipe, stderr=pipe, text=True, env=os.environ | environment
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def client(told: dict[str, Any]) -> httpx.Client:
    head = {"Authorization": f"Bearer {told['key']}"}
    return httpx.Client(base_url=told["url"], headers=head, trust_env=False, timeout=60)


def test_a_program_reads_where_the_server_is_and_its_random_key() -> None:
    with serving() as (process, told), client(told) as asking:
        assert set(told) == {"url", "key", "model"}
        assert told["url"].startswith("http://127.0.0.1:")
        assert told["url"].endswith("/v1")
        assert len(told["key"]) >= 32
        assert [model["id"] for model in asking.get("/models").json()["data"]] == [told["model"]]
        body = {"model": told["model"], "messages": [{"role": "user", "content": "hello"}]}
        assert asking.post("/chat/completions", json=body).json()["choices"][0]["message"]["content"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
def test_the_key_of_the_environment_is_used_and_a_term_signal_ends_it_with_0() -> None:
    with serving(COALM_LITE_API_KEY="from-the-environment") as (process, told), client(told) as asking:
        assert told["key"] == "from-the-environment"
        assert asking.get("/models").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
def test_a_second_interrupt_ends_it_at_once_also_in_the_middle_of_an_answer() -> None:
    with serving("--max-tokens", "1800") as (process, told), socket.create_connection(address(told), 30) as connection:
        body = json.dumps(ENDLESS)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {told['key']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        with client(told) as asking:
            while "coalm_lite_answering 1" not in asking.get(told["url"].replace("/v1", "/metrics")).text:
                time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        while listens(told):
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert time.monotonic() - began < 5


def address(told: dict[str, Any]) -> tuple[str, int]:
    return "127.0.0.1", int(told["url"].removesuffix("/v1").rpartition(":")[2])


def listens(told: dict[str, Any]) -> bool:
    try:
        socket.create_connection(address(told), 5).close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_told_before_the_model_is_loaded(command_line: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        outcome = command_line("serve", "nano", "--port", port)
    assert outcome.code == 2
    assert f"nothing can be served on 127.0.0.1 port {port}" in outcome.message
    assert "--port 0" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--api-key", ""], "the key is empty"),
        (["--api-key", "with space"], "a character that no key has"),
        (["--api-key", "ключ"], "a character that no key has"),
        (["--api-key", "short", "--host", "0.0.0.0"], "the key has 5 characters"),
        (["--host", "no.such.host.invalid"], "nothing can be served on no.such.host.invalid"),
        (["--parallel", "0"], "parallel"),
        (["--queue", "-1"], "queue"),
        (["--timeout", "0"], "timeout"),
    ],
)
def test_what_cannot_be_served_is_wrong_usage(command_line: CommandLine, arguments: list[str], words: str) -> None:
    outcome = command_line("serve", "nano", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_an_unknown_model_is_told(command_line: CommandLine) -> None:
    assert command_line("serve", "nanno").code == 2
    assert command_line("serve", "./none.gguf", "--port", "0").code == 1


def test_without_the_extra_the_way_to_it_is_told(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    outcome = command_line("serve", "nano")
    assert (outcome.code, outcome.message) == (1, "error: serve needs the package uvicorn")
    assert "pip install 'coalm-lite[serve]'" in outcome.err
