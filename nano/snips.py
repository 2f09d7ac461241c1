"""SNIPS custom intents as single-turn state tracking and as function calls with masked names."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.types import JsonObject, Message, ToolCall, ToolSpec
from nano.examples import Example, Step, tool

INTENTS = (
    "AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook", "SearchCreativeWork",
    "SearchScreeningEvent",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One utterance, its intent and the slot values marked in it."""

    intent: str
    text: str
    slots: JsonObject


def read_requests(folder: Path, split: str = "train") -> list[Request]:
    """The requests of all intents; `split` is train or validate."""
    requests = []
    for intent in INTENTS:
        name = f"train_{intent}_full.json.gz" if split == "train" else f"validate_{intent}.json.gz"
        requests += _read_file(folder / name, intent)
    return requests


def _read_file(path: Path, intent: str) -> list[Request]:
    import gzip

    rows = json.loads(gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace"))[intent]
    return [_request(intent, row["data"]) for row in rows]


def _request(intent: str, pieces: Sequence[dict[str, str]]) -> Request:
    text = " ".join("".join(piece["text"] for piece in pieces).split())
    slots: JsonObject = {piece["entity"]: piece["text"].strip() for piece in pieces if "entity" in piece}
    return Request(intent, text, slots)


def domains(requests: Sequence[Request]) -> dict[str, ToolSpec]:
    """Each intent as a dst domain with all slots seen in its requests."""
    slots: dict[str, set[str]] = {}
    for request in requests:
        slots.setdefault(request.intent, set()).update(request.slots)
    return {intent: tool(intent, sorted(names)) for intent, names in slots.items()}


def state_example(request: Request, known: dict[str, ToolSpec], rng: random.Random) -> Example:
    """A dst example over the request's domain and up to two others."""
    others = rng.sample([name for name in known if name != request.intent], rng.randint(0, 2))
    listed = [known[name] for name in (request.intent, *others)]
    rng.shuffle(listed)
    reply = Message("assistant", calls=(ToolCall(request.intent, _in_order(request, known)),))
    return Example("dst", tuple(listed), (Step((Message("user", request.text),), reply),))


def masked_example(requests: Sequence[Request], known: dict[str, ToolSpec], rng: random.Random) -> Example:
    """A hammer example: tools under masked names, the calls that the joined requests need, sometimes none."""
    intents = [request.intent for request in requests]
    others = rng.sample([name for name in known if name not in intents], rng.randint(1, 3))
    offered = [*dict.fromkeys(intents), *others]
    if len(requests) == 1 and rng.random() < 0.25:
        offered.remove(requests[0].intent)
    rng.shuffle(offered)
    names = {intent: _masked(intent, rng) for intent in offered}
    tools = tuple(tool(names[i], list(_properties(known[i])), f"{_spaced(i).capitalize()}.") for i in offered)
    calls = tuple(ToolCall(names[r.intent], _in_order(r, known)) for r in requests if r.intent in names)
    text = " and ".join(request.text for request in requests)
    return Example("hammer", tools, (Step((Message("user", text),), Message("assistant", calls=calls)),))


def _in_order(request: Request, known: dict[str, ToolSpec]) -> JsonObject:
    """The request's slots in the order of its tool's parameters, as a grammar wants them."""
    return {name: request.slots[name] for name in _properties(known[request.intent]) if name in request.slots}


def _properties(spec: ToolSpec) -> JsonObject:
    properties = spec.parameters["properties"]
    assert isinstance(properties, dict)
    return properties


def _masked(intent: str, rng: random.Random) -> str:
    """A name that says nothing in two of three cases, so that the description must be read."""
    if rng.random() < 0.33:
        return _spaced(intent).replace(" ", rng.choice("_."))
    return (
        rng.choice(("func", "tool", "api", "f", "call"))
        + "_"
        + "".join(rng.choices("abcdefghkmnpqrstuvwxyz0123456789", k=rng.randint(1, 4)))
    )


def _spaced(intent: str) -> str:
    return "".join(" " + letter.lower() if letter.isupper() else letter for letter in intent).strip()
