"""What a server's completion says, read strictly: text, why it ended, and its tokens where it names their numbers.

Log-probabilities come in three shapes: llama-server's (a list with `id` and `bytes` a token), the one of OpenAI's chat
completions (the same without `id`), and the one of text completions (lists of token texts). The last has numbers where
vLLM was asked to write `token_id:17` for a token; what each number writes must then be asked apart (`Piece`). An answer
without numbers is text, and a comparison with it is one of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from coalm_lite.errors import ServerError
from coalm_lite.types import JsonObject, JsonValue

_LEAST_LOGPROB = -1e4  # what stands for log 0, which JSON cannot say; llama-server writes -3.4e38
_NUMBERED = "token_id:"
Piece: TypeAlias = "Callable[[int], bytes | None]"  # what a token writes; None where that is no text by itself


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


def read_completion(answer: JsonObject, *, chat: bool = False, piece: Piece = lambda _: None) -> Completion:
    """The completion in a server's answer. ServerError names the field that is not as it must be."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise _wrong("choices", choices, "a list of one object")
    choice = choices[0]
    text = _text(choice, chat)
    reason = choice.get("finish_reason")
    if reason not in ("stop", "length"):
        raise _wrong("choices[0].finish_reason", reason, '"stop" or "length"')
    tokens, ends, places = _tokens(choice.get("logprobs"), text, piece)
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


def _tokens(
    logprobs: JsonValue, text: str, piece: Piece
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[RemoteChoice, ...]]:
    """Tokens, ends and choices; nothing where the server names no numbers, or where its tokens are not the text."""
    told: JsonObject = logprobs if isinstance(logprobs, dict) else {}
    places = _listed(told.get("content")) or _numbered(told, piece)
    pieces = [place.writes for place in places]
    count = _count([written for written in pieces if written is not None], text.encode())
    if None in pieces or count is None:
        return (), (), ()
    ends, at = [], 0
    for place in places[:count]:
        at += len(place.writes or b"")
        ends.append(at)
    return tuple(p.token for p in places[:count]), tuple(ends), tuple(p.choice for p in places[: count + 1])


@dataclass(frozen=True, slots=True)
class _Place:
    token: int
    writes: bytes | None
    choice: RemoteChoice


def _listed(content: JsonValue) -> list[_Place]:
    """The places of a list with a token's `id` and `bytes` in each entry."""
    entries = [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []
    numbers = [number for entry in entries if isinstance(number := entry.get("id"), int)]
    if len(numbers) < len(entries):
        return []
    return [_Place(n, _bytes(entry.get("bytes")), _choice(entry)) for n, entry in zip(numbers, entries, strict=True)]


def _numbered(told: JsonObject, piece: Piece) -> list[_Place]:
    """The places of lists in which a token stands as `token_id:17`."""
    tokens, tops = told.get("tokens"), told.get("top_logprobs")
    if not isinstance(tokens, list) or not isinstance(tops, list) or len(tokens) != len(tops):
        return []
    numbers = [number for token in tokens if (number := _number(token)) is not None]
    if len(numbers) < len(tokens):
        return []
    return [_Place(n, piece(n), _choice_of(_pairs(top))) for n, top in zip(numbers, tops, strict=True)]


def _number(token: JsonValue) -> int | None:
    digits = token.removeprefix(_NUMBERED) if isinstance(token, str) and token.startswith(_NUMBERED) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _pairs(top: JsonValue) -> list[tuple[int, float]]:
    items = top.items() if isinstance(top, dict) else ()
    numbered = [(_number(token), value) for token, value in items]
    return [(n, float(value)) for n, value in numbered if n is not None and isinstance(value, int | float)]


def _count(pieces: Sequence[bytes], whole: bytes) -> int | None:
    """How many of the first pieces are the text: all, or all but the end token's; None when they are not."""
    every = len(pieces)
    for count in (every - 1, every) if every and not pieces[-1] else (every, every - 1):
        if count >= 0 and b"".join(pieces[:count]) == whole:
            return count
    return None


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
                pairs.append((number, float(value)))
    return _choice_of(pairs)


def _choice_of(pairs: list[tuple[int, float]]) -> RemoteChoice:
    pairs = sorted(pairs, key=lambda pair: -pair[1])
    return RemoteChoice(
        tuple(number for number, _ in pairs), tuple(max(_LEAST_LOGPROB, min(0.0, value)) for _, value in pairs)
    )


def _wrong(place: str, value: JsonValue, wanted: str) -> ServerError:
    return ServerError(
        f"the server's completion has {str(value)[:80]!r} at {place}, not {wanted}",
        "The server is no OpenAI-compatible one, or a newer one than this version knows.",
    )
