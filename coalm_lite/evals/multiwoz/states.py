"""MultiWOZ 2.4 dialogue state tracking: the domains, text and value normalisation, joint goal accuracy, slot F1.

Joint goal accuracy: the share of user turns whose whole cumulative state equals the gold state, over 30 slots of 5
domains (arXiv 2104.00773). Normalisation, which any figure depends on: values are compared in lower case with folded
white space; empty and "none" are no value; a gold value may hold alternatives separated by `|`, any of which counts.
Utterances can be put into the lower-case, spaced form of the usual training files by `normalise_utterance`.
Not covered here: Success and Inform (task.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from coalm_lite.types import JsonValue, Message, ToolCall, ToolSpec

State: TypeAlias = "dict[str, str]"

SLOTS: dict[str, tuple[str, ...]] = {
    "attraction": ("area", "name", "type"),
    "hotel": (
        "area", "book day", "book people", "book stay", "internet", "name", "parking", "pricerange", "stars", "type",
    ),
    "restaurant": ("area", "book day", "book people", "book time", "food", "name", "pricerange"),
    "taxi": ("arriveby", "departure", "destination", "leaveat"),
    "train": ("arriveby", "book people", "day", "departure", "destination", "leaveat"),
}  # fmt: skip

_SPLIT = re.compile(r"([?!;()\"]|(?<!\d)[.,:]|[.,:](?!\d))")
_WORDS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "center": "centre", "wi-fi": "wifi", "restaraunt": "restaurant", "guesthouse": "guest house",
    "can't": "can not", "won't": "will not",
}  # fmt: skip


def tools() -> tuple[ToolSpec, ...]:
    """The five domains as tools of the dst dialect: a domain's slots are its string parameters."""
    return tuple(
        ToolSpec(domain, "", {"type": "object", "properties": {slot: {"type": "string"} for slot in slots}})
        for domain, slots in SLOTS.items()
    )


def normalise_utterance(text: str) -> str:
    """`text` in lower case with spaced punctuation, contractions opened and small number words as digits."""
    text = text.lower().replace("\u2019", "'").replace(" -s", "s")
    words = [_WORDS.get(word, word) for word in _SPLIT.sub(r" \1 ", text).split()]
    return " ".join(re.sub(r"n't\b", " not", " ".join(words)).replace("'", " ").split())


def normalise_value(value: JsonValue) -> str:
    """A slot value as it is compared; empty for "no value"."""
    text = " ".join(str(value).lower().split())
    text = {"do not care": "dontcare", "don't care": "dontcare", "any": "dontcare", "true": "yes", "false": "no"}.get(
        text, text
    )
    return "" if text in {"", "none", "null", "not mentioned"} else text


def updated_state(state: Mapping[str, str], updates: Iterable[ToolCall]) -> State:
    """`state` after a turn's updates; unknown slots are ignored, an empty value removes its slot."""
    after = dict(state)
    for update in updates:
        for slot, value in update.arguments.items():
            if slot not in SLOTS.get(update.name, ()):
                continue
            key, text = f"{update.name}-{slot}", normalise_value(value)
            if text:
                after[key] = text
            else:
                after.pop(key, None)
    return after


def updates_between(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ToolCall, ...]:
    """The updates that turn one state into the other, in the order of `SLOTS`; removals are not expressed."""
    calls = []
    for domain, slots in SLOTS.items():
        keys = ((slot, f"{domain}-{slot}") for slot in slots)
        changed: dict[str, JsonValue] = {
            slot: after[key] for slot, key in keys if key in after and after[key] != before.get(key)
        }
        if changed:
            calls.append(ToolCall(domain, changed))
    return tuple(calls)


def dialogue_messages(turns: Iterable[tuple[str, str]], normalised: bool = True) -> tuple[Message, ...]:
    """The messages of (system before, user) text pairs, in normalised text unless told otherwise."""
    messages = []
    for system, user in turns:
        for role, text in (("assistant", system), ("user", user)):
            words = normalise_utterance(text) if normalised else text
            if words:
                messages.append(Message("assistant" if role == "assistant" else "user", words))
    return tuple(messages)


def states_equal(predicted: Mapping[str, str], gold: Mapping[str, str]) -> bool:
    """Whether every slot of both states holds the same value, or one of gold's alternatives."""
    wanted = {slot: _alternatives(value) for slot, value in gold.items() if normalise_value(value)}
    found = {slot: text for slot, value in predicted.items() if (text := normalise_value(value))}
    return wanted.keys() == found.keys() and all(found[slot] in wanted[slot] for slot in wanted)


def _alternatives(value: str) -> set[str]:
    return {normalise_value(part) for part in value.split("|")} - {""}


@dataclass(frozen=True, slots=True)
class StateScore:
    """Scores over `turns` user turns."""

    joint_goal_accuracy: float
    slot_f1: float
    turns: int


def score_states(pairs: Iterable[tuple[Mapping[str, str], Mapping[str, str]]]) -> StateScore:
    """Joint goal accuracy and micro-averaged slot F1 of (predicted, gold) cumulative states, one pair a turn."""
    turns = joint = hits = sizes = 0
    for predicted, gold in pairs:
        turns += 1
        joint += states_equal(predicted, gold)
        hit, size = slot_hits(predicted, gold)
        hits, sizes = hits + hit, sizes + size
    return StateScore(joint / turns if turns else 0.0, 2 * hits / sizes if sizes else 1.0, turns)


def slot_hits(predicted: Mapping[str, str], gold: Mapping[str, str]) -> tuple[int, int]:
    """How many slots are right, and how many both states have together: F1 is twice the first over the second."""
    values = {slot: text for slot, value in predicted.items() if (text := normalise_value(value))}
    golden = {slot: _alternatives(value) for slot, value in gold.items() if normalise_value(value)}
    return sum(values.get(slot, "") in options for slot, options in golden.items()), len(values) + len(golden)
