"""MultiWOZ's test dialogues as they lie on disk: turns with gold states, and each dialogue's published goal.

`test.jsonl` or `test_a.jsonl`, plain or gzipped, one dialogue a line: `{dialogue_id, goal, turns: [{system, user,
state}]}`, where `system` was said before `user` and `state` is cumulative, by "domain-slot". Other keys count for
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.evals.data.files import data_file, read_json_lines
from coalm_lite.evals.multiwoz.states import SLOTS
from coalm_lite.types import JsonObject, JsonValue

FILES = ("test.jsonl", "test_a.jsonl")
_HINT = "The file is damaged or in another form: fetch it again with `coalm-lite data fetch multiwoz`."


@dataclass(frozen=True, slots=True)
class Turn:
    """What the system said before, what the user said then, and the gold state after it."""

    system: str
    user: str
    state: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One test dialogue; `goal` as published, by domain."""

    id: str
    turns: tuple[Turn, ...]
    goal: JsonObject

    @property
    def stratum(self) -> str:
        """How many of the five domains its goal has, as words: dialogues of several are harder throughout."""
        count = sum(bool(self.goal.get(domain)) for domain in SLOTS)
        return f"{count} domain" + ("" if count == 1 else "s")


def read_dialogues(folder: Path) -> tuple[Dialogue, ...]:
    """All dialogues of the folder's test file, in its order; StoreError where one is not of the form."""
    path = data_file(folder, *FILES)
    found = tuple(_dialogue(entry, f"{path}, dialogue {n}") for n, entry in enumerate(read_json_lines(path), 1))
    if len({dialogue.id for dialogue in found}) < len(found):
        raise StoreError(f"{path} has two dialogues of one id", _HINT)
    return found


def _dialogue(entry: JsonObject, place: str) -> Dialogue:
    name, goal, turns = entry.get("dialogue_id"), entry.get("goal"), entry.get("turns")
    if not isinstance(name, str) or not isinstance(goal, dict) or not isinstance(turns, list) or not turns:
        raise StoreError(f"{place} lacks a dialogue_id, a goal or turns", _HINT)
    return Dialogue(name.removesuffix(".json"), tuple(_turn(turn, place) for turn in turns), goal)


def _turn(turn: JsonValue, place: str) -> Turn:
    if isinstance(turn, dict):
        system, user, state = turn.get("system"), turn.get("user"), turn.get("state")
        if isinstance(system, str) and isinstance(user, str) and isinstance(state, dict):
            return Turn(system, user, {slot: str(value) for slot, value in state.items()})
    raise StoreError(f"{place} has a turn without system, user or state", _HINT)
