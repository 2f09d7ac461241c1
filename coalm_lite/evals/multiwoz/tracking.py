"""MultiWOZ 2.4 as dialogue state tracking: after each user turn, what did it change?

An item is a dialogue, a unit one of its user turns. The history is the dialogue's own words (gold history), in the
normalised form of `states`; the model's updates are accumulated. Joint goal accuracy on its own accumulated state is
the usual figure (30 slots of 5 domains, values compared as `states` says). Beside it the same answers are scored with
each update laid over the gold state before the turn: what a turn got wrong by itself, without earlier errors.
Output that is not of the form, or none, changes nothing and is noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from coalm_lite import dialects
from coalm_lite.errors import OutputError
from coalm_lite.evals.items import FAIL, PASS, Answer, Ask, Item, Metric, Outcome, Play, Share, Unit
from coalm_lite.evals.multiwoz import states
from coalm_lite.evals.multiwoz.dialogues import Dialogue, read_dialogues
from coalm_lite.types import Message, ToolCall

ANSWER_TOKENS = 200

METRICS = (
    Metric("joint_goal_accuracy", "Joint goal accuracy", headline=True),
    Metric("slot_f1", "Slot F1", pass_fail=False),
    Metric("gold_joint_goal_accuracy", "Joint goal accuracy, gold state before each turn"),
    Metric("gold_slot_f1", "Slot F1, gold state before each turn", pass_fail=False),
)


class TrackingSuite:
    """The suite "multiwoz": `items` hold a `Dialogue` each."""

    name = "multiwoz"
    dialects = ("dst",)
    metrics = METRICS

    def __init__(self, dialogues: Iterable[Dialogue]) -> None:
        self.items = tuple(Item(d.id, d.stratum, d.id, d) for d in dialogues)
        self._tools = states.tools()

    def play(self, item: Item, dialect: str) -> Play:
        """Asks after each user turn and scores the states; the history of a turn begins with that of the one before."""
        dialogue: Dialogue = item.content
        messages: tuple[Message, ...] = ()
        own: states.State = {}
        before: Mapping[str, str] = {}
        units, notes = [], []
        for number, turn in enumerate(dialogue.turns, 1):
            messages += states.dialogue_messages([(turn.system, turn.user)])
            answer = yield Ask(dialect, messages, self._tools, ANSWER_TOKENS)
            updates, problem = read_updates(dialect, answer)
            own = states.updated_state(own, updates)
            scores = _scores("", own, turn.state)
            scores |= _scores("gold_", states.updated_state(before, updates), turn.state)
            units.append(Unit(f"{item.id}/{number}", item.stratum, scores))
            notes += [f"turn {number}: {problem}"] if problem else []
            before = {slot: value.partition("|")[0] for slot, value in turn.state.items()}
        return Outcome(tuple(units), "; ".join(notes))


def open_tracking(folder: Path) -> TrackingSuite:
    """The suite over all dialogues of a data folder."""
    return TrackingSuite(read_dialogues(folder))


def read_updates(dialect: str, answer: Answer) -> tuple[tuple[ToolCall, ...], str]:
    """The updates in an answer; none, and why, where it is not of the form."""
    if answer.error:
        return (), answer.error
    try:
        return dialects.get(dialect).parse(answer.text).calls, ""
    except OutputError as error:
        return (), error.message


def _scores(prefix: str, found: Mapping[str, str], gold: Mapping[str, str]) -> dict[str, Share]:
    hits, sizes = states.slot_hits(found, gold)
    equal = PASS if states.states_equal(found, gold) else FAIL
    return {f"{prefix}joint_goal_accuracy": equal, f"{prefix}slot_f1": Share(2 * hits, sizes)}
