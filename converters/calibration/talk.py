"""Function-calling conversations for calibration, made here from a seed: in each form that CoALM was trained to write.

Single requests (`hammer`, `bfcl`) ask for one call, two, or none that fits; talks (`cra`) go over several requests with
thoughts, observations and answers, some asking back first; states (`dst`) are tracked over a dialogue. The same seed
gives the same conversations on every machine.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coalm_lite import dialects
from coalm_lite.converters.calibration.errands import CALENDAR, FILES, FINANCE, SHOPPING, WEATHER
from coalm_lite.converters.calibration.leisure import HOME, MEDIA, TOWN, TRAVEL
from coalm_lite.converters.calibration.tools import Function, Slot
from coalm_lite.dialects.base import END_OF_TURN
from coalm_lite.types import JsonObject, JsonValue, Message, Prompt, Segment, ToolCall, ToolSpec

_FAMILIES = (WEATHER, TOWN, CALENDAR, FILES, SHOPPING, TRAVEL, FINANCE, HOME, MEDIA)
_FUNCTIONS = [function for family in _FAMILIES for function in family]
_DIALECTS = ("hammer", "cra", "bfcl", "cra", "hammer", "dst", "cra")
_OPENINGS = ("", "", "", "Hi! ", "Hello. ", "Good morning, ", "One more thing: ", "Quick question. ", "Hey, ")
_ENDINGS = ("", "", "", "", " Thanks!", " Thank you.", " Can you do that?", " It's urgent.")
_JOINTS = (" And then: ", " Also, ", " After that: ", " Besides, ")
_REFUSALS = (
    "None of the functions that I have can do that.",
    "I am sorry, I have no function for this.",
    "That is beyond what I can do here; I can only use the functions listed.",
)
_ASK_BACK = ("I can do that. What I still need: {}.", "Happy to. Please tell me: {}.", "Which one? I need: {}.")
_THOUGHTS = (
    "The user has given what {} needs.",
    "I should call {} now.",
    "This is a case for {}; everything required was said.",
    "{} answers this.",
)
_SMALL_TALK = (
    ("Thanks, that's all.", "You are welcome. Have a good day!"),
    ("What else can you do?", "I can use the functions that were given to me: just tell me what you need."),
    ("Tell me a joke.", "Jokes are not my strength, but I am glad to help with one of my functions."),
    ("Great, thank you!", "My pleasure."),
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The tools and messages of one conversation in one dialect; the last message is the assistant's reply."""

    dialect: str
    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]

    def prompt(self, short: bool) -> Prompt:
        """The conversation as the model sees it: the prompt, the reply and the end of the turn."""
        dialect = dialects.get(self.dialect)
        asked = dialect.render(self.messages[:-1], self.tools, short)
        reply = Segment(dialect.render_reply(self.messages[-1]))
        return (*asked, reply, Segment(END_OF_TURN, marker=True))


def conversations(seed: int, count: int) -> tuple[Conversation, ...]:
    """The first `count` conversations of `seed`; a greater count goes on where a smaller one ends."""
    makers = {"cra": _talk, "dst": _states, "hammer": _request, "bfcl": _request}
    names = [_DIALECTS[number % len(_DIALECTS)] for number in range(count)]
    return tuple(makers[name](random.Random(f"{seed}/{number}"), name) for number, name in enumerate(names))


def _request(rng: random.Random, dialect: str) -> Conversation:
    """One request, and the call or calls that it asks for, or none."""
    asked = rng.sample(_FUNCTIONS, rng.choices((1, 2), (3, 1))[0])
    kind = rng.choices(("fits", "no tool", "not enough"), (7, 2, 1))[0]
    if kind == "not enough" and any(_lacking(function) for function in asked):
        asked = [next(function for function in asked if _lacking(function))]
        text, _ = _filled(rng, asked[0], rng.choice(_lacking(asked[0])))
        words, calls = _asking_back(rng, asked[0], text), ()
        return _single(dialect, _tools(rng, asked), _spoken(rng, text), words, calls)
    turns = [_filled(rng, function, rng.choice(_whole(function))) for function in asked]
    text = rng.choice(_JOINTS).join(text for text, _ in turns)
    if kind == "fits":
        return _single(dialect, _tools(rng, asked), _spoken(rng, text), "", tuple(call for _, call in turns))
    others = [function for family in _FAMILIES if not {*family} & {*asked} for function in family]
    return _single(dialect, _tools(rng, rng.sample(others, 2)), _spoken(rng, text), rng.choice(_REFUSALS), ())


def _single(
    dialect: str, tools: Sequence[Function], text: str, words: str, calls: tuple[ToolCall, ...]
) -> Conversation:
    # Hammer's form says with an empty list what BFCL's says in words.
    reply = Message("assistant", "" if calls or dialect == "hammer" else words, calls)
    return Conversation(dialect, tuple(tool.spec for tool in tools), (Message("user", text), reply))


def _talk(rng: random.Random, dialect: str) -> Conversation:
    """A few requests, each with its call, what came of it and an answer; it ends at one of the later replies."""
    asked = rng.sample(_FUNCTIONS, rng.choices((1, 2, 3), (3, 3, 2))[0])
    messages = [message for function in asked for message in _exchange(rng, function)]
    if rng.random() < 0.4:
        question, answer = rng.choice(_SMALL_TALK)
        messages += [Message("user", question), Message("assistant", answer)]
    replies = [index for index, message in enumerate(messages) if message.role == "assistant"]
    last = rng.choice(replies[-3:])
    tools = tuple(tool.spec for tool in _tools(rng, asked))
    return Conversation(dialect, tools, tuple(messages[: last + 1]))


def _exchange(rng: random.Random, function: Function) -> Iterator[Message]:
    """A request, perhaps a question back, the call, its result and the answer."""
    whole, lacking = _whole(function), _lacking(function)
    said = ToolCall(function.name)
    if lacking and rng.random() < 0.3:
        text, said = _filled(rng, function, rng.choice(lacking))
        yield Message("user", _spoken(rng, text))
        yield Message("assistant", _asking_back(rng, function, text))
        rest = {slot.name: rng.choice(slot.values) for slot in function.slots if slot.required}
        told = ", ".join(_words(value) for name, value in rest.items() if name not in said.arguments)
        yield Message("user", f"{told}{rng.choice(_ENDINGS)}")
        call = ToolCall(function.name, rest | said.arguments)
    else:
        text, call = _filled(rng, function, rng.choice(whole))
        yield Message("user", _spoken(rng, text))
    thought = rng.choice(_THOUGHTS).format(function.name) if rng.random() < 0.7 else ""
    yield Message("assistant", calls=(call,), thought=thought)
    result: JsonObject = {name: rng.choice(values) for name, values in function.result.items()}
    yield Message("tool", json.dumps(result, ensure_ascii=False))
    yield Message("assistant", _answer(rng, function, call.arguments | result))


def _states(rng: random.Random, dialect: str) -> Conversation:
    """A dialogue whose last user turn changes the state of one domain, of two, or of none."""
    domains = rng.sample(_FUNCTIONS, rng.choice((3, 4, 5)))
    messages: list[Message] = []
    for function in domains[: rng.choice((0, 1, 2))]:
        text, call = _filled(rng, function, rng.choice(_whole(function)))
        result = {name: rng.choice(values) for name, values in function.result.items()}
        messages += [Message("user", text), Message("assistant", _answer(rng, function, call.arguments | result))]
    changed = domains[-rng.choice((1, 1, 2)) :] if rng.random() < 0.85 else []
    turns = [_filled(rng, function, rng.choice(function.requests)) for function in changed]
    calls = tuple(call for _, call in turns if call.arguments)
    last = rng.choice(_JOINTS).join(text for text, _ in turns) or rng.choice(_SMALL_TALK)[0]
    messages += [Message("user", last), Message("assistant", calls=calls)]
    rng.shuffle(domains)
    return Conversation(dialect, tuple(function.spec for function in domains), tuple(messages))


def _tools(rng: random.Random, needed: Sequence[Function]) -> list[Function]:
    """The functions at hand: those needed, some relatives of theirs and a few others, in any order."""
    relatives = [other for family in _FAMILIES if {*family} & {*needed} for other in family if other not in needed]
    others = [function for function in _FUNCTIONS if function not in needed and function not in relatives]
    chosen = [
        *needed,
        *rng.sample(relatives, min(rng.randint(0, 3), len(relatives))),
        *rng.sample(others, rng.randint(0, 2)),
    ]
    return rng.sample(chosen, len(chosen))


def _named(function: Function, template: str) -> list[Slot]:
    names = re.findall(r"{(\w+)}", template)
    return [slot for slot in function.slots if slot.name in names]


def _whole(function: Function) -> list[str]:
    """The requests that say all that is required."""
    required = [slot for slot in function.slots if slot.required]
    return [text for text in function.requests if all(slot in _named(function, text) for slot in required)]


def _lacking(function: Function) -> list[str]:
    """The requests that leave something out."""
    whole = _whole(function)
    return [text for text in function.requests if text not in whole]


def _filled(rng: random.Random, function: Function, template: str) -> tuple[str, ToolCall]:
    """The request with values in it, and the call that it is."""
    arguments: JsonObject = {slot.name: rng.choice(slot.values) for slot in _named(function, template)}
    text = template.format(**{name: _words(value) for name, value in arguments.items()})
    return text, ToolCall(function.name, arguments)


def _asking_back(rng: random.Random, function: Function, text: str) -> str:
    missing = [slot.description for slot in function.slots if slot.required and not _said(slot, text)]
    return rng.choice(_ASK_BACK).format("; ".join(missing).lower() or "the details")


def _said(slot: Slot, text: str) -> bool:
    return any(_words(value) in text for value in slot.values)


def _answer(rng: random.Random, function: Function, values: JsonObject) -> str:
    told = {name: _words(value) for name, value in values.items()}
    known = [answer for answer in function.answers if {*re.findall(r"{(\w+)}", answer)} <= {*told}]
    return rng.choice(known).format(**told) if known else "Done."


def _spoken(rng: random.Random, text: str) -> str:
    return rng.choice(_OPENINGS) + text + rng.choice(_ENDINGS)


def _words(value: JsonValue) -> str:
    """A value as people write it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_words(item) for item in value) or "nothing"
        case dict():
            return " ".join(_words(item) for item in value.values())
        case _:
            return str(value)
