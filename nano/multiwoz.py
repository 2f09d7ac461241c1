"""MultiWOZ's published rows as state-tracking and as CRA examples over the demo tools' names.

Reads `train.tsv.gz` or `dev.tsv.gz`: one row a user turn with the cumulative 2.1 state. In CRA form a turn that fills
search slots becomes a `find_*` call with everything known, a booking that the system confirms a `book_*` call; results
are built from the venue that the real answer names, so that the answer follows from the observation.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from coalm_lite.evals.multiwoz import states as multiwoz
from coalm_lite.types import JsonObject, JsonValue, Message, ToolCall
from nano.demo_tools import DEMO_TOOLS
from nano.examples import Example, Step, conversation_example

ANSWER_WEIGHT = 0.15  # a wizard's words vary freely; what counts here is when to call and with what
_PLURALS = {"hotel": "hotels", "restaurant": "restaurants", "attraction": "attractions", "train": "trains"}
_SLOT_NAMES = {"leaveat": "leave_at", "arriveby": "arrive_by"}
_BOOKED = re.compile(r"\b(?:reference|ref)\b.*?\b((?=[a-z]*\d)[a-z0-9]{8})\b|\b(?:reference|ref)\b.*?\b([a-z0-9]{8})\b")
_SHOWN = {
    "hotel": ("name", "type", "area", "pricerange", "stars", "parking", "internet", "phone"),
    "restaurant": ("name", "food", "area", "pricerange", "phone"),
    "attraction": ("name", "type", "area", "fee", "phone"),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What the system said before, what the user said, the state after, and what the system then answered."""

    system: str
    user: str
    state: Mapping[str, str]
    answer: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One dialogue of the rows file."""

    name: str
    turns: tuple[Turn, ...]


def read_dialogues(path: Path) -> list[Dialogue]:
    """All dialogues of a rows file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        columns = next(lines).rstrip("\n").split("\t")
        rows = [line.rstrip("\n").split("\t") for line in lines]
    return [_dialogue(name, columns, list(group)) for name, group in groupby(rows, key=lambda row: row[0])]


def _dialogue(name: str, columns: list[str], rows: list[list[str]]) -> Dialogue:
    answers = [row[3] for row in rows[1:]] + [""]
    turns = (
        Turn(
            *(multiwoz.normalise_utterance(t) for t in row[3:5]), _state(columns, row), multiwoz.normalise_utterance(a)
        )
        for row, a in zip(rows, answers, strict=True)
    )
    return Dialogue(name, tuple(turns))


def _state(columns: list[str], row: list[str]) -> dict[str, str]:
    slots = zip(columns[5:], row[5:], strict=False)
    return {slot: text for slot, value in slots if slot and (text := _value(slot, value))}


def _value(slot: str, value: str) -> str:
    value = value.split("|", maxsplit=1)[0]
    if slot == "hotel-type":  # these rows write the type as whether it is a hotel
        value = {"true": "hotel", "false": "guest house"}.get(value, value)
    return multiwoz.normalise_value(value)


def state_example(dialogue: Dialogue) -> Example:
    """A dst example: each user turn and the slots it changes."""
    steps: list[Step] = []
    messages: tuple[Message, ...] = ()
    before: Mapping[str, str] = {}
    for turn in dialogue.turns:
        messages += multiwoz.dialogue_messages([(turn.system, turn.user)])
        reply = Message("assistant", calls=multiwoz.updates_between(before, turn.state))
        steps.append(Step(messages, reply))
        before = turn.state
    return Example("dst", multiwoz.tools(), tuple(steps))


class Venues:
    """The published venue tables: which rows a search finds and which venue a text names."""

    def __init__(self, folder: Path) -> None:
        self.rows = {domain: _venue_rows(folder / f"{domain}_db.json", domain) for domain in _SHOWN}

    def named_in(self, domain: str, text: str) -> JsonObject | None:
        """The venue with the longest name that occurs in `text`, if any."""
        found = [row for row in self.rows[domain] if re.search(rf"\b{re.escape(str(row['name']))}\b", text)]
        return max(found, key=lambda row: len(str(row["name"])), default=None)

    def matching(self, domain: str, wanted: Mapping[str, JsonValue]) -> list[JsonObject]:
        """The venues that have all wanted values."""
        return [row for row in self.rows[domain] if all(row.get(key) == value for key, value in wanted.items())]


def _venue_rows(path: Path, domain: str) -> list[JsonObject]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [_venue(row, domain) for row in rows]


def _venue(row: Mapping[str, str], domain: str) -> JsonObject:
    renamed = {"fee": "entrance fee"}
    shown: JsonObject = {}
    for key in _SHOWN[domain]:
        raw = str(row.get(renamed.get(key, key), "?"))
        raw = "guest house" if raw == "guesthouse" else raw
        shown[key] = multiwoz.normalise_utterance(raw) if key == "name" else _argument(key, raw)
    return shown


def _argument(slot: str, text: str) -> JsonValue:
    if slot in {"parking", "internet"}:
        return text == "yes"
    if slot in {"stars", "people", "stay"} and text.isdigit():
        return int(text)
    return text


def conversation(dialogue: Dialogue, venues: Venues, rng: random.Random) -> Example:
    """A CRA example with the demo tools; the last turn, whose answer the rows lack, is left out."""
    builder = _Conversation(venues, rng, natural=rng.random() < 0.6)
    before: Mapping[str, str] = {}
    for turn in dialogue.turns[:-1]:
        builder.add(turn, before)
        before = turn.state
    return conversation_example(DEMO_TOOLS, builder.messages, builder.weights)


class _Conversation:
    """The messages of a dialogue as it is turned into CRA form."""

    def __init__(self, venues: Venues, rng: random.Random, natural: bool) -> None:
        self.venues, self.rng, self.natural = venues, rng, natural
        self.messages: list[Message] = []
        self.weights: list[float] = []
        self.last_venue: dict[str, str] = {}
        self.last_train: JsonObject = {}

    def add(self, turn: Turn, before: Mapping[str, str]) -> None:
        self._say(Message("user", natural_text(turn.user) if self.natural else turn.user))
        changed = {slot for slot, value in turn.state.items() if before.get(slot) != value}
        for call, result in self._steps(turn, changed):
            self._say(Message("assistant", calls=(call,)))
            self._say(Message("tool", json.dumps(result, ensure_ascii=False)))
        self._say(Message("assistant", natural_text(turn.answer)), ANSWER_WEIGHT)

    def _say(self, message: Message, weight: float = 1.0) -> None:
        self.messages.append(message)
        self.weights.append(weight)

    def _steps(self, turn: Turn, changed: set[str]) -> Iterator[tuple[ToolCall, JsonObject]]:
        for domain in _PLURALS:
            new = {slot for slot in changed if slot.startswith(f"{domain}-") and "-book" not in slot}
            if self._asks_for_search(domain, new, turn):
                yield self._search(domain, turn, new)
        reference = _BOOKED.search(turn.answer)
        booked = [slot.split("-")[0] for slot in changed if "-book" in slot]
        if reference and booked and (call := self._booking(booked[0], turn.state)):
            result: JsonObject = {"reference": reference.group(1) or reference.group(2), **call.arguments}
            yield call, result
        if any(slot.startswith("taxi-") for slot in changed) and (call := _taxi(turn.state)):
            words = re.search(r"\b(?:black|white|red|yellow|blue|grey) \w+", turn.answer)
            phone = re.search(r"\b\d{9,11}\b", turn.answer)
            seen = {"car": words and words.group(), "phone": phone and phone.group()}
            yield call, {key: value for key, value in seen.items() if value} | call.arguments

    def _asks_for_search(self, domain: str, new: set[str], turn: Turn) -> bool:
        """Whether new search slots call for a search: a name alone does only when the user brings it up."""
        name = f"{domain}-name"
        brought_up = name in new and turn.state[name] in turn.user and turn.state[name] != self.last_venue.get(domain)
        return brought_up or bool(new - {name})

    def _search(self, domain: str, turn: Turn, new: set[str]) -> tuple[ToolCall, JsonObject]:
        wanted = _arguments(domain, turn.state, booking=False)
        if f"{domain}-name" not in new:
            wanted.pop("name", None)
        call = ToolCall(f"find_{_PLURALS[domain]}", wanted)
        rows = self._trains(wanted, turn.answer) if domain == "train" else self._venues(domain, wanted, turn.answer)
        counted = re.search(r"\bthere (?:are|is) (\d{1,4})\b", turn.answer)
        count = int(counted.group(1)) if counted else len(rows)
        shown = rows[: self.rng.choice((1, 1, 2, 3))]
        return call, {"count": max(count, len(shown)), _PLURALS[domain]: list(shown)}

    def _venues(self, domain: str, wanted: JsonObject, answer: str) -> list[JsonObject]:
        rows = self.venues.matching(domain, wanted)
        self.rng.shuffle(rows)
        named = self.venues.named_in(domain, answer)
        if named:
            self.last_venue[domain] = str(named["name"])
            rows = [named, *(row for row in rows if row is not named)]
        return rows

    def _trains(self, wanted: JsonObject, answer: str) -> list[JsonObject]:
        times = re.findall(r"\b\d{1,2}:\d\d\b", answer)
        if not {"departure", "destination", "day"} <= wanted.keys() or not times:
            return []
        ends: JsonObject = {"leave_at": times[0], "arrive_by": times[1]} if len(times) > 1 else {"leave_at": times[0]}
        self.last_train = {key: wanted[key] for key in ("departure", "destination", "day")} | ends
        return [self.last_train]

    def _booking(self, domain: str, state: Mapping[str, str]) -> ToolCall | None:
        details = _arguments(domain, state, booking=True)
        if domain == "train":
            known = {key: value for key, value in self.last_train.items() if key != "arrive_by"}
            return ToolCall("book_train", known | details) if "leave_at" in known and details else None
        name = state.get(f"{domain}-name") or self.last_venue.get(domain)
        needed = {"hotel": 3, "restaurant": 3}.get(domain)
        if not name or name == "dontcare" or len(details) != needed:
            return None
        return ToolCall(f"book_{domain}", {"name": name} | details)


def _arguments(domain: str, state: Mapping[str, str], booking: bool) -> JsonObject:
    """The demo tools' arguments in the state: search slots, or booking slots in the order people, day, stay or time.

    The type "hotel" is left out: people say hotel for any place to stay, and the labels do not agree on which is meant.
    """
    order = ("people", "day", "stay", "time") if booking else multiwoz.SLOTS[domain]
    found: JsonObject = {}
    for slot in order:
        value = state.get(f"{domain}-book {slot}" if booking else f"{domain}-{slot}", "dontcare")
        vague = value == "dontcare" or (domain, slot, value) == ("hotel", "type", "hotel")
        if not vague and (booking or not slot.startswith("book ")):
            found[_SLOT_NAMES.get(slot, slot)] = _argument(slot, value)
    tool = f"book_{domain}" if booking else f"find_{_PLURALS[domain]}"
    parameters = next(spec.parameters["properties"] for spec in DEMO_TOOLS if spec.name == tool)
    assert isinstance(parameters, dict)
    return {key: found[key] for key in parameters if key in found}


def natural_text(text: str) -> str:
    """Normalised text as people write it: punctuation attached, contractions, sentence starts in upper case."""
    text = re.sub(r" ([?!,;.:)])", r"\1", text)
    text = re.sub(r"\b(i|it|that|what|there|you|we|they|he|she)( )(m|s|ll|d|re|ve)\b", r"\1'\3", text)
    text = re.sub(r"\bi\b", "I", text)
    return re.sub(r"(^|[.?!] )([a-z])", lambda match: match.group(1) + match.group(2).upper(), text)


def _taxi(state: Mapping[str, str]) -> ToolCall | None:
    keys = (("departure",) * 2, ("destination",) * 2, ("leaveat", "leave_at"), ("arriveby", "arrive_by"))
    values: JsonObject = {
        name: state[f"taxi-{slot}"] for slot, name in keys if state.get(f"taxi-{slot}", "") not in ("", "dontcare")
    }
    complete = {"departure", "destination"} <= values.keys() and len(values) > 2
    return ToolCall("book_taxi", values) if complete else None
