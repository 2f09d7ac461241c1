"""MultiWOZ as tasks: the model talks to a simulated user and uses the published databases; Success and Inform by rules.

An item is a published goal, its unit the conversation. The user is user.py's, the tools town.py's, the rules stand in
judging.py: they are NOT the paper's figures (another user, a language model as judge), so that only two runs of this
suite compare. The model's turn is at most `MAX_CALLS` steps of calls until it speaks; the conversation at most
`MAX_TURNS` turns. Output that is not of the form is answered like silence, the third such turn ends the conversation,
and so does a prompt that has no room. What was not reached by then is not met.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from coalm_lite import dialects
from coalm_lite.errors import OutputError
from coalm_lite.evals.items import Answer, Ask, Item, Outcome, Play, Unit
from coalm_lite.evals.multiwoz.dialogues import Dialogue, read_dialogues
from coalm_lite.evals.multiwoz.goals import Goal, read_goal
from coalm_lite.evals.multiwoz.judging import METRICS, judge, scores
from coalm_lite.evals.multiwoz.talk import Talk
from coalm_lite.evals.multiwoz.town import Town, open_town
from coalm_lite.evals.multiwoz.user import User
from coalm_lite.tools import tool_from_function
from coalm_lite.types import Message

ANSWER_TOKENS = 200
MAX_TURNS = 20
MAX_CALLS = 6
MAX_SILENCES = 3


@dataclass(slots=True)
class _Turn:
    """The model's turn: what it said to the user, or why it said nothing. `over`: nothing more can be asked."""

    words: str = ""
    problem: str = ""
    over: bool = False


class TaskSuite:
    """The suite "multiwoz:task": `items` hold a `Goal` each."""

    name = "multiwoz:task"
    dialects = ("cra",)
    metrics = METRICS

    def __init__(self, dialogues: Iterable[Dialogue], town: Town) -> None:
        goals = [(dialogue, read_goal(dialogue.goal, town)) for dialogue in dialogues]
        self.items = tuple(Item(d.id, d.stratum, d.id, goal) for d, goal in goals if goal.domains)
        self._town = town
        self._tools = tuple(tool_from_function(function) for function in town.functions)

    def play(self, item: Item, dialect: str) -> Play:
        """Lets model and user talk until the user is done or the bounds are met, then judges."""
        goal: Goal = item.content
        talk = Talk(goal, self._town, self._tools)
        user = User(talk, item.id)
        messages = [Message("user", user.opening())]
        silences, notes = 0, []
        for number in range(1, MAX_TURNS + 1):
            turn = yield from _turn(dialect, talk, messages)
            notes += [f"turn {number}: {turn.problem}"] if turn.problem else []
            silences += not turn.words.strip()
            if turn.over or silences == MAX_SILENCES:
                break
            talk.hear(user.domain, turn.words)
            said = user.reply(turn.words)
            if said is None:
                break
            messages.append(Message("user", said))
        results = judge(talk)
        notes += [result.problem for result in results if result.problem]
        return Outcome((Unit(item.id, item.stratum, scores(results)),), "; ".join(notes))


def open_task(folder: Path) -> TaskSuite:
    """The suite over the goals and databases of a data folder."""
    return TaskSuite(read_dialogues(folder), open_town(folder))


def _turn(dialect: str, talk: Talk, messages: list[Message]) -> Generator[Ask, Answer, _Turn]:
    """One turn of the model: calls are run and their results shown until it speaks."""
    for _ in range(MAX_CALLS):
        answer = yield Ask(dialect, tuple(messages), talk.toolbox.specs, ANSWER_TOKENS)
        if answer.error:
            return _Turn(problem=answer.error, over=True)
        try:
            message = dialects.get(dialect).parse(answer.text)
        except OutputError as error:
            return _Turn(problem=error.message)
        if not message.calls and not message.text.strip():
            return _Turn(problem="nothing was said")
        messages.append(message)
        if not message.calls:
            return _Turn(message.text)
        messages += [Message("tool", talk.call(call).text) for call in message.calls]
    return _Turn(problem=f"no word to the user in {MAX_CALLS} steps")
