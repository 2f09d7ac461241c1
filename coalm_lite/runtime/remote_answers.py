"""What a server's completion says, read strictly: text, why it ended, and its tokens where it names their numbers.

Three shapes of log-probabilities are known: llama-server's (a list with `id` and `bytes` a token), the one of OpenAI's
chat completions (the same without `id`) and the one of its text completions (token texts alone; vLLM's too). Only the
first gives numbers; with the others an answer is text, and a comparison with it is one of texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coalm_lite.errors import ServerError
from coalm_lite.types import JsonObject, JsonValue

_LEAST_LOGPROB = -1e4  # what stands for log 0, which JSON cannot say; llama-server writes -3.4e38


@dataclass(frozen=True, slots=True)
class RemoteChoice:
    """The likeliest tokens at one place, the likeliest first; natural logarithms of their probabilities."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens the server counted; 0 where it does not tell. `cached_tokens` of the prompt's were there."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer. `tokens`, where each `ends` in the text's UTF-8 bytes and `choices` are empty where no number is told.

    `choices` has one more entry than `tokens` where the server tells of the end token too.
    """

    text: str
    end: Literal["stop", "length"]
    usage: Usage
    tokens: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    choices: tuple[RemoteChoice, ...] = ()


def read_completion(answer: JsonObject, *, chat: bool = False) -> Completion:
    """The completion in a server's answer. ServerError names the field that is not as it must be."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise _wrong("choices", choices, "a list of one object")
    choice = choices[0]
    text = _text(choice, chat)
    reason = choice.get("finish_reason")
    if reason not in ("stop", "length"):
        raise _wrong("choices[0].finish_reason", reason, '"stop" or "length"')
    tokens, ends, places = _tokens(choice.get("logprobs"), text)
    return Completion(text, "stop" if reason == "stop" else "length", read_usage(answer), tokens, ends, places)


def read_usage(answer: JsonObject) -> Usage:
    """What the server counted."""
    told = answer.get("usage")
    usage: JsonObject = told if isinstance(told, dict) else {}
    told = usage.get("prompt_tokens_details")
    details: JsonObject = told if isinstance(told, dict) else {}
    return Usage(
        _count_of(usage.get("prompt_tokens")),
        _count_of(details.get("cached_tokens")),
        _count_of(usage.get("completion_tokens")),
    )


def _count_of(value: JsonValue) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _text(choice: JsonObject, chat: bool) -> str:
    if not chat:
        text, place = choice.get("text"), "choices[0].text"
    else:
        message = choice.get("message")
        text, place = message.get("content") if isinstance(message, dict) else None, "choices[0].message.content"
    if not isinstance(text, str):
        raise _wrong(place, text, "a text")
    return text


def _tokens(logprobs: JsonValue, text: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[RemoteChoice, ...]]:
    """Tokens, ends and choices; nothing where the server names no numbers, or where its tokens are not the text."""
    listed = logprobs.get("content") if isinstance(logprobs, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if not entries or not all(isinstance(entry.get("id"), int) for entry in entries):
        return (), (), ()
    pieces = [_bytes(entry.get("bytes")) for entry in entries]
    count = _count(pieces, text.encode())
    if count is None:
        return (), (), ()
    ends, at = [], 0
    for piece in pieces[:count]:
        at += len(piece)
        ends.append(at)
    ids = tuple(entry["id"] for entry in entries[:count] if isinstance(entry["id"], int))
    return ids, tuple(ends), tuple(_choice(entry) for entry in entries[: count + 1])


def _count(pieces: Sequence[bytes], whole: bytes) -> int | None:
    """How many of the first pieces are the text: all, or all but the end token's empty one; None when they are not."""
    count = len(pieces)
    if count and not pieces[-1]:
        count -= 1
    return count if b"".join(pieces[:count]) == whole else None


def _bytes(value: JsonValue) -> bytes:
    if not isinstance(value, list):
        return b""
    codes = [code for code in value if isinstance(code, int) and 0 <= code < 256]
    return bytes(codes) if len(codes) == len(value) else b""


def _choice(entry: JsonObject) -> RemoteChoice:
    top = entry.get("top_logprobs")
    pairs: list[tuple[int, float]] = []
    for other in top if isinstance(top, list) else []:
        if isinstance(other, dict):
            number, value = other.get("id"), other.get("logprob")
            if isinstance(number, int) and isinstance(value, int | float):
                pairs.append((number, max(_LEAST_LOGPROB, min(0.0, float(value)))))
    pairs.sort(key=lambda pair: -pair[1])
    return RemoteChoice(tuple(number for number, _ in pairs), tuple(value for _, value in pairs))


def _wrong(place: str, value: JsonValue, wanted: str) -> ServerError:
    return ServerError(
        f"the server's completion has {str(value)[:80]!r} at {place}, not {wanted}",
        "The server is no OpenAI-compatible one, or a newer one than this version knows.",
    )
