"""How BFCL's items are asked and scored: one answer of a question, or a dialogue's steps on BFCL's own objects.

A text that is not of the dialect's form holds no call, as in BFCL: wrong where one is due, right where none is, and in
a dialogue the end of the turn. An item whose prompt found no room is wrong in every category. A dialogue is left at its
first wrong turn, which no later one can repair; its score is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from coalm_lite import dialects
from coalm_lite.dialects.python_calls import render_call
from coalm_lite.errors import OutputError
from coalm_lite.evals.bfcl.checker import wrong_calls
from coalm_lite.evals.bfcl.executors import Executors, ExecutorsError, Objects
from coalm_lite.evals.bfcl.questions import Dialogue, Question, tools_of
from coalm_lite.evals.items import FAIL, PASS, Answer, Ask, Outcome, Play, Unit
from coalm_lite.types import Message, ToolCall, ToolSpec

MAX_STEPS = 20
# The longest right answers have 253 of coalm-nano's short tokens, those in parallel 391; Llama 3 needs half as many.
MAX_TOKENS = 320
MAX_TOKENS_OF_SEVERAL_CALLS = 512
_MORE_FUNCTIONS = "More functions are available to you now. Can you do it with them?"
_SHOWN_CHARACTERS = 200


def play_question(question: Question, dialect: str, metrics: Sequence[str]) -> Play:
    """Ask once; the calls are compared with the answers, or their absence with what is due."""
    tools = tools_of(question.functions, question.category.language)
    max_tokens = MAX_TOKENS_OF_SEVERAL_CALLS if question.category.count == "any_order" else MAX_TOKENS
    answer = yield Ask(dialect, question.messages, tools, max_tokens)
    return outcome(question.id, question.category.name, metrics, _problem(question, dialect, answer))


def outcome(item: str, stratum: str, metrics: Sequence[str], problem: str) -> Outcome:
    """An item's one unit, which counts in each of the metrics: passed if nothing is wrong."""
    score = FAIL if problem else PASS
    return Outcome((Unit(item, stratum, dict.fromkeys(metrics, score)),), problem)


def _problem(question: Question, dialect: str, answer: Answer) -> str:
    if answer.error:
        return answer.error
    reply, unread = _read(dialect, answer)
    match question.category.kind:
        case "no_call":
            return f"{reply.calls[0].name!r} is called where no function applies" if reply.calls else ""
        case "a_call":
            return "" if reply.calls else unread or "no function is called where one applies"
    if unread:
        return unread
    category = question.category
    return wrong_calls(reply.calls, question.functions, question.answers, category.count, category.language)


def _read(dialect: str, answer: Answer) -> tuple[Message, str]:
    """The assistant's message, and why its text holds no call where that is not plain words."""
    try:
        return dialects.get(dialect).parse(answer.text), ""
    except OutputError as error:
        why = "the answer was cut at its longest" if answer.cut else error.message
        return Message("assistant", answer.text), f"no calls can be read: {why[:_SHOWN_CHARACTERS]}"


def play_dialogue(dialogue: Dialogue, dialect: str, metrics: Sequence[str], executors: Executors) -> Play:
    """Ask, run the calls, ask again until the answer has none; then the next turn, if the turn was right."""
    state = _State(dialogue, dialect, executors)
    try:
        for turn in range(len(dialogue.turns)):
            state.begin_turn(turn)
            while state.in_turn:
                answer = yield Ask(dialect, tuple(state.messages), state.tools(), MAX_TOKENS_OF_SEVERAL_CALLS)
                state.take(answer)
            if problem := state.problem():
                return outcome(dialogue.id, dialogue.category.name, metrics, f"turn {turn + 1}: {problem}")
        return outcome(dialogue.id, dialogue.category.name, metrics, "")
    finally:
        state.end()


class _State:
    """A dialogue under way: what was said, the functions at hand, the calls of each turn's steps."""

    def __init__(self, dialogue: Dialogue, dialect: str, executors: Executors) -> None:
        self._dialogue = dialogue
        self._dialect = dialect
        self._executors = executors
        self._objects: Objects | None = None
        self._hidden = {name for names in dialogue.held_out.values() for name in names}
        self._tools = {str(each["name"]): each for each in dialogue.functions}
        self._steps: list[list[list[str]]] = []
        self._failure = ""
        self.messages: list[Message] = []
        self.in_turn = False

    def begin_turn(self, turn: int) -> None:
        """What the user says, or, where functions were held out until now, that there are more."""
        if turn in self._dialogue.held_out:
            self._hidden -= set(self._dialogue.held_out[turn])
            self.messages.append(Message("user", _MORE_FUNCTIONS))
        self.messages.extend(self._dialogue.turns[turn])
        self._steps.append([])
        self.in_turn = True

    def tools(self) -> tuple[ToolSpec, ...]:
        """The functions that are not held out."""
        return tools_of([each for name, each in self._tools.items() if name not in self._hidden], "python")

    def take(self, answer: Answer) -> None:
        """Run the answer's calls; the turn ends where it has none, or something went wrong."""
        reply = _read(self._dialect, answer)[0]
        self.messages.append(reply)
        self._failure = answer.error
        self.in_turn = bool(reply.calls) and not answer.error
        if self.in_turn:
            self._run(reply.calls)

    def _run(self, calls: Sequence[ToolCall]) -> None:
        if self._objects is None:
            self._objects = self._executors.objects(self._dialogue.entry)
        written = [render_call(call) for call in calls]
        self._steps[-1].append(written)
        try:
            results = self._objects.run(written)
        except ExecutorsError as error:  # what the model asked for was too much for them
            self._failure, self.in_turn = error.message, False
            return
        self.messages.extend(Message("tool", result) for result in results)
        if len(self._steps[-1]) > MAX_STEPS:
            self._failure, self.in_turn = f"more than {MAX_STEPS} steps", False

    def problem(self) -> str:
        """What is wrong after the turns so far; "" for nothing."""
        if self._failure:
            return self._failure
        if self._objects is None:
            self._objects = self._executors.objects(self._dialogue.entry)
        try:
            return self._objects.problem(self._steps, self._dialogue.gold[: len(self._steps)])[:_SHOWN_CHARACTERS]
        except ExecutorsError as error:
            return error.message

    def end(self) -> None:
        """Let the objects go."""
        if self._objects is not None:
            self._objects.end()
