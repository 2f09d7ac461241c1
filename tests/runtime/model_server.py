"""An OpenAI-compatible server on loopback: a real HTTP server with a rule for a model, which misbehaves on command.

Covered: /v1/models, /v1/completions and /v1/chat/completions with log-probabilities in three shapes, a key, special
tokens and a begin-of-text token, as llama-server and vLLM have them; faults, each for one request to the completions.
Not covered: streams, sampling, TLS.

    with model_server(lambda prompt: "[]") as server:
        server.faults.append(refuse(429, {"Retry-After": "0"}))
        server.address; server.requests
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeAlias

Shape: TypeAlias = Literal["llama-server", "openai", "vllm"]
Fault: TypeAlias = "Callable[[_Handler], None]"
_TOKENS = re.compile(r"<\|[a-z_]+\|>|.", re.DOTALL)
_END = 2_000_000  # the number of the end token


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    authorization: str
    body: Mapping[str, Any]


@dataclass
class ModelServer:
    """What a test holds of the running server; its fields may be changed while it runs."""

    answer: Callable[[str], str]
    shape: Shape = "llama-server"
    models: tuple[str, ...] = ("bf16",)
    key: str = ""
    adds_begin: bool = True
    parses_markers: bool = True
    counts: bool = True
    context_tokens: int = 100_000
    limit_letters: int = 1  # of a token, as max_tokens counts
    pieces: dict[int, str] = field(default_factory=dict)  # what /detokenize tells otherwise
    missing: tuple[str, ...] = ()  # paths that are not there
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0
    most_at_once: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def completions(self) -> list[Asked]:
        """The requests for an answer, without the first ones that find out how prompts are read."""
        asked = [each for each in self.requests if each.path.endswith("completions")]
        return [each for each in asked if each.body.get("max_tokens") != 1]

    def count(self, prompt: str) -> int:
        parts = _TOKENS.findall(prompt) if self.parses_markers else list(prompt)
        return len(parts) + self.adds_begin


def refuse(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b'{"error": {"message": "no"}}'
) -> Fault:
    """Answer with an error's status, or with any other answer."""
    return lambda handler: handler.say(status, body, headers or {})


def cut(handler: _Handler) -> None:
    """Break off in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang_up(handler: _Handler) -> None:
    """End the connection without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def stall(handler: _Handler) -> None:
    """Say nothing until the server ends."""
    handler.model.released.wait()


def trickle(handler: _Handler) -> None:
    """Send a byte now and then, so that no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        if handler.model.released.wait(0.05):
            return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled answer must not hold up the end
    request_queue_size = 64
    model: ModelServer

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as socketserver calls it


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def model(self) -> ModelServer:
        assert isinstance(self.server, _Server)
        return self.server.model

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the record is `requests`."""

    def do_GET(self) -> None:
        self._take({})

    def do_POST(self) -> None:
        self._take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def say(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _take(self, body: Mapping[str, Any]) -> None:
        model, path = self.model, self.path.removeprefix("/v1/")
        fault = None
        with model.lock:
            model.requests.append(Asked(path, self.headers.get("Authorization", ""), body))
            if path.endswith("completions") and body.get("max_tokens") != 1 and model.faults:
                fault = model.faults.pop(0)
        if fault:
            fault(self)
        elif model.key and self.headers.get("Authorization") != f"Bearer {model.key}":
            self._error(401, "invalid_api_key", f"wrong key {self.headers.get('Authorization', '')}")
        elif path in model.missing:
            self._error(404, "not_found_error", "File Not Found")
        else:
            self._answer(path, body)

    def _error(self, status: int, kind: str, message: str) -> None:
        self._json({"error": {"type": kind, "message": message, "code": status}}, status)

    def _json(self, value: object, status: int = 200) -> None:
        self.say(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, path: str, body: Mapping[str, Any]) -> None:
        model = self.model
        owner = {"llama-server": "llamacpp", "vllm": "vllm"}.get(model.shape, "")
        if path == "models":
            self._json({"data": [{"id": name, "owned_by": owner} for name in model.models]})
        elif path.endswith("completions"):
            with model.lock:
                model.at_once += 1
                model.most_at_once = max(model.most_at_once, model.at_once)
            try:
                self._complete(body)
            finally:
                with model.lock:
                    model.at_once -= 1
        elif path == "/detokenize":
            pieces = [
                model.pieces.get(token, chr(token) if token != _END else "<|eot_id|>") for token in body["tokens"]
            ]
            self._json({"prompt": "".join(pieces)})
        else:
            self._json({"build_info": "b1", "version": "0.10"})

    def _complete(self, body: Mapping[str, Any]) -> None:
        model, chat = self.model, "messages" in body
        prompt = json.dumps(body["messages"]) if chat else body["prompt"]
        count = model.count(prompt)
        if count > model.context_tokens:
            self._error(400, "exceed_context_size_error", f"request ({count} tokens) exceeds the context size")
            return
        text = model.answer(prompt)
        cut_text = text[: body["max_tokens"] * model.limit_letters]
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if cut_text == text else "length"}
        choice |= {"message": {"role": "assistant", "content": cut_text}} if chat else {"text": cut_text}
        wanted = body.get("top_logprobs" if chat else "logprobs", 0)
        named = bool(body.get("return_tokens_as_token_ids"))
        choice["logprobs"] = _logprobs(model.shape, cut_text, cut_text == text, named) if wanted else None
        usage = {"usage": {"prompt_tokens": count}} if model.counts else {}
        self._json({"choices": [choice], **usage})


def _logprobs(shape: Shape, text: str, ended: bool, named: bool) -> dict[str, Any]:
    """Each letter is a token, whose number is the letter's; a second one is half as likely."""
    entries = [(ord(letter), letter) for letter in text] + [(_END, "")] * ended
    if shape == "vllm":
        tokens = [f"token_id:{number}" if named else letter for number, letter in entries]
        tops = [{"token_id:63" if named else "?": -1.1, token: -0.4} for token in tokens]
        return {"tokens": tokens, "token_logprobs": [-0.4] * len(tokens), "top_logprobs": tops}
    content = []
    for number, letter in entries:
        top = [{"token": "?", "logprob": -1.1, "id": 63}, {"token": letter, "logprob": -0.4, "id": number}]
        entry = {"token": letter, "bytes": list(letter.encode()), "logprob": -0.4, "id": number, "top_logprobs": top}
        if shape == "openai":
            del entry["id"]
        content.append(entry)
    return {"content": content}


@contextmanager
def model_server(answer: Callable[[str], str], **fields: Any) -> Iterator[ModelServer]:
    """The running server."""
    model = ModelServer(answer, **fields)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.model, model.port = model, server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield model
    finally:
        model.released.set()
        server.shutdown()
        server.server_close()
