"""Conversations beside each other: eight clients with one of their own each, `coalm-lite serve` beside llama-server.

usage: python benchmarks/serve_conversations.py --server llama-server [--rounds 5] [--clients 8] [--turns 8]
       [--threads 2] [--parallel 4] [--keep]

As serve_speed.py, but each client goes on with its conversation: what was said, what was answered and what came of the
calls stands in the next prompt, which grows to about a thousand tokens. A call's result is the same short JSON each
time, so that both sides' conversations are alike; the model is asked again with it. What a server does not keep of a
conversation between its turns it computes again. llama-server gets the prompt's text at /completion, with the GBNF of
the same tools; it has a slot for every client, ours half as many answers at once. Each round has new conversations.
A row tells requests a second, prompt tokens that were computed for a request, and ours / theirs by round. The last line
is one JSON object; `--keep` appends it to results/serve_conversations.jsonl.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from serve_speed import (
    BOX,
    KEY,
    SAID,
    TOKENS,
    free_port,
    peer_command,
    process,
    serve_command,
    server_options,
    spread,
    tools_of,
)

from coalm_lite.dialects import cra
from coalm_lite.types import Message
from rows import provenance, tell

RESULTS = Path(__file__).with_name("results") / "serve_conversations.jsonl"
RESULT = '{"found": 2, "first": {"name": "Larkspur Grand", "area": "north", "price": "cheap"}}'
MOST_CALLS = 2  # steps with calls that are answered before the user speaks again


class Conversation(Protocol):
    """What one client says to one server."""

    path: str

    def body(self, text: str | None) -> dict[str, Any]:
        """The next request: with the user's `text`, or with what came of the calls."""
        ...

    def take(self, answer: dict[str, Any]) -> tuple[bool, int]:
        """Whether the answer has calls, and how many tokens of its prompt were computed."""
        ...


@dataclass
class Ours:
    """Messages at /v1/chat/completions."""

    path: str = "/v1/chat/completions"
    messages: list[dict[str, Any]] = field(default_factory=list)

    def body(self, text: str | None) -> dict[str, Any]:
        if text is not None:
            self.messages.append({"role": "user", "content": text})
        return {"model": "nano", "messages": self.messages, "tools": tools_of(), "max_tokens": TOKENS}

    def take(self, answer: dict[str, Any]) -> tuple[bool, int]:
        message = answer["choices"][0]["message"]
        calls = message.get("tool_calls") or []
        self.messages.append({key: value for key, value in message.items() if value is not None})
        self.messages += [{"role": "tool", "tool_call_id": call["id"], "content": RESULT} for call in calls]
        usage = answer["usage"]
        return bool(calls), usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]


@dataclass
class Theirs:
    """The prompt's text at /completion."""

    grammar: str
    path: str = "/completion"
    messages: list[Message] = field(default_factory=list)

    def body(self, text: str | None) -> dict[str, Any]:
        if text is not None:
            self.messages.append(Message("user", text))
        prompt = "".join(segment.text for segment in cra.render(self.messages, BOX.specs, True))
        rest = {"n_predict": TOKENS, "temperature": 0, "cache_prompt": True, "grammar": self.grammar}
        return {"prompt": prompt, **rest}

    def take(self, answer: dict[str, Any]) -> tuple[bool, int]:
        reply = cra.parse(answer["content"])
        self.messages += [reply, *(Message("tool", RESULT) for _ in reply.calls)]
        return bool(reply.calls), answer["timings"]["prompt_n"]


@dataclass(frozen=True, slots=True)
class Side:
    """A server, and how a conversation with it begins."""

    name: str
    port: int
    begin: type[Ours] | Any


def main() -> None:
    """Measure, print, keep."""
    options = _options()
    with ExitStack() as running:
        sides = [_ours(running, options), _theirs(running, options)]
        for side in sides:
            one_round(side, options, 0)
        rounds = [measured(sides, options, number) for number in range(1, options.rounds + 1)]
    tell(summary(rounds, options), RESULTS if options.keep else None)


def _options() -> argparse.Namespace:
    parser = server_options(__doc__)
    parser.add_argument("--turns", type=int, default=8)
    return parser.parse_args()


def _ours(running: ExitStack, options: argparse.Namespace) -> Side:
    port = free_port()
    running.enter_context(process(serve_command(port, options.parallel, options.threads), port, "/health"))
    return Side("ours", port, Ours)


def _theirs(running: ExitStack, options: argparse.Namespace) -> Side:
    port = free_port()
    running.enter_context(process(peer_command(port, options), port, "/health"))
    grammar = cra.grammar(BOX.specs)
    return Side("llama-server", port, lambda: Theirs(grammar))


def measured(sides: Sequence[Side], options: argparse.Namespace, number: int) -> dict[str, dict[str, float]]:
    """A round: both sides, another one first each time."""
    found = {side.name: one_round(side, options, number) for side in (sides if number % 2 else sides[::-1])}
    shown = ", ".join(f"{name} {one['rps']:.1f}/s, {one['computed']:.0f} computed" for name, one in found.items())
    print(f"round {number}: {shown}", flush=True)
    return found


def one_round(side: Side, options: argparse.Namespace, seed: int) -> dict[str, float]:
    """All clients' conversations with one side."""
    computed: list[int] = []
    began = time.perf_counter()
    clients = [
        threading.Thread(target=_talk, args=(side, options.turns, seed * options.clients + at, computed))
        for at in range(options.clients)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - began
    if len(computed) < options.clients * options.turns:
        raise RuntimeError(f"{side.name} answered {len(computed)} requests")
    return {"rps": len(computed) / seconds, "computed": statistics.mean(computed), "requests": len(computed)}


def _talk(side: Side, turns: int, seed: int, computed: list[int]) -> None:
    """One conversation over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", side.port, timeout=300)
    conversation: Conversation = side.begin()
    for text in random.Random(seed).sample(SAID, turns):
        asked: str | None = text
        for _ in range(1 + MOST_CALLS):
            called = _ask(connection, conversation, asked, computed)
            asked = None
            if not called:
                break
        else:
            _ask(connection, conversation, asked, computed)
    connection.close()


def _ask(
    connection: http.client.HTTPConnection, conversation: Conversation, text: str | None, computed: list[int]
) -> bool:
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    connection.request("POST", conversation.path, json.dumps(conversation.body(text)), head)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {answer}")
    called, tokens = conversation.take(answer)
    computed.append(tokens)
    return called


def summary(rounds: Sequence[dict[str, dict[str, float]]], options: argparse.Namespace) -> dict[str, object]:
    """The row: a figure's median, lowest and highest."""
    names = sorted(rounds[0])
    return {
        "benchmark": "serve_conversations",
        **{name: getattr(options, name) for name in ("clients", "turns", "threads", "parallel")},
        "rounds": len(rounds),
        "requests_a_round": {name: spread([each[name]["requests"] for each in rounds]) for name in names},
        "rps": {name: spread([each[name]["rps"] for each in rounds]) for name in names},
        "prompt_tokens_computed": {name: spread([each[name]["computed"] for each in rounds]) for name in names},
        "ratio": spread([each["ours"]["rps"] / each["llama-server"]["rps"] for each in rounds]),
        **provenance(),
    }


if __name__ == "__main__":
    main()
