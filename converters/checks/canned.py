"""Fixed conversations about tools, by which a converted model is tried: the same for every model, in its own dialect.

Written for this project; none is of a benchmark. Covered: prompts with replies, over which two models' logits are
compared, and one request that any model, even one of random weights, can answer with a valid call under the grammar.
Not covered: how good the answers are, which is evaluation's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coalm_lite.dialects.base import END_OF_TURN, Dialect
from coalm_lite.tools import Toolbox, tool_from_schema
from coalm_lite.types import JsonObject, JsonValue, Message, Prompt, Segment, ToolCall, ToolSpec

_ANSWERS_IN_WORDS = ("bfcl", "cra")  # the other dialects say with an empty list that there is nothing to call


@dataclass(frozen=True, slots=True)
class Conversation:
    """Tools, what was said, and the assistant's next message."""

    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    reply: Message


def _tool(name: str, description: str, **parameters: str) -> ToolSpec:
    """A tool of required parameters, each given as its JSON type and its description: `city="string the city"`."""
    properties: JsonObject = {}
    for parameter, words in parameters.items():
        kind, _, meaning = words.partition(" ")
        properties[parameter] = {"type": kind, "description": meaning}
    required: list[JsonValue] = list(parameters)
    return ToolSpec(name, description, {"type": "object", "properties": properties, "required": required})


def _user(text: str) -> Message:
    return Message("user", text)


def _calls(*calls: ToolCall) -> Message:
    return Message("assistant", calls=calls)


_FIND_RESTAURANT = _tool(
    "find_restaurant",
    "Find places to eat.",
    area="string the part of town",
    food="string the cuisine",
    price="string cheap, moderate or expensive",
)
_BOOK_TABLE = _tool(
    "book_table",
    "Reserve a table.",
    restaurant="string its name",
    people="integer how many",
    day="string the weekday",
    time="string as 19:30",
)
_WEATHER = _tool("get_weather", "Forecast for a city.", city="string the city", day="string today or tomorrow")
_CONVERT = _tool(
    "convert_money",
    "Convert an amount between currencies.",
    amount="number how much",
    source="string the currency to convert from",
    target="string the currency to convert to",
)
_FIND_TRAIN = _tool(
    "find_train",
    "Find trains between two stations.",
    departure="string from where",
    destination="string to where",
    leave_after="string the earliest time, as 09:00",
)
_REMIND = _tool("set_reminder", "Remind the user later.", text="string what of", minutes="integer in how many minutes")
_TABLE_CALL = ToolCall("book_table", {"restaurant": "The Copper Kettle", "people": 4, "day": "friday", "time": "19:30"})

CONVERSATIONS: tuple[Conversation, ...] = (
    Conversation(
        (_FIND_RESTAURANT, _BOOK_TABLE),
        (_user("I am looking for a cheap place with Indian food in the centre of town."),),
        _calls(ToolCall("find_restaurant", {"area": "centre", "food": "indian", "price": "cheap"})),
    ),
    Conversation(
        (_FIND_RESTAURANT, _BOOK_TABLE),
        (
            _user("Where can we get British food in the south? Money does not matter."),
            _calls(ToolCall("find_restaurant", {"area": "south", "food": "british", "price": "expensive"})),
            Message("tool", '[{"name": "The Copper Kettle", "area": "south", "phone": "01223 555014"}]'),
            Message("assistant", "The Copper Kettle in the south serves British food. Shall I book it?"),
            _user("Yes please, four of us, this Friday at half past seven in the evening."),
        ),
        _calls(_TABLE_CALL),
    ),
    Conversation(
        (_FIND_RESTAURANT, _BOOK_TABLE),
        (
            _user("Book The Copper Kettle for four on Friday at 19:30."),
            _calls(_TABLE_CALL),
            Message("tool", '{"booked": true, "reference": "K4T7QX"}'),
        ),
        Message("assistant", "Your table for four on Friday at 19:30 is booked. The reference is K4T7QX."),
    ),
    Conversation(
        (_WEATHER, _CONVERT, _REMIND),
        (_user("Will I need an umbrella in Lisbon tomorrow?"),),
        _calls(ToolCall("get_weather", {"city": "Lisbon", "day": "tomorrow"})),
    ),
    Conversation(
        (_WEATHER, _CONVERT),
        (_user("How many dollars are 20 euros, and how many yen do I get for 50 dollars?"),),
        _calls(
            ToolCall("convert_money", {"amount": 20, "source": "EUR", "target": "USD"}),
            ToolCall("convert_money", {"amount": 50, "source": "USD", "target": "JPY"}),
        ),
    ),
    Conversation(
        (_FIND_TRAIN, _WEATHER, _REMIND),
        (_user("When does the next train from Ely to Leeds leave, any time after nine in the morning?"),),
        _calls(ToolCall("find_train", {"departure": "Ely", "destination": "Leeds", "leave_after": "09:00"})),
    ),
    Conversation(
        (_REMIND, _FIND_TRAIN),
        (_user("Who wrote the first novel that was ever printed in Norwich?"),),
        Message("assistant", "I cannot look that up: I can find trains and set reminders."),
    ),
    Conversation(
        (_REMIND, _CONVERT),
        (_user("Remind me in a quarter of an hour to take the bread out of the oven."),),
        _calls(ToolCall("set_reminder", {"text": "take the bread out of the oven", "minutes": 15})),
    ),
)


def whole_prompt(conversation: Conversation, dialect: Dialect, short: bool) -> Prompt:
    """The conversation as a prompt, with the reply and the end of its turn."""
    reply = conversation.reply
    if not reply.calls and dialect.NAME not in _ANSWERS_IN_WORDS:
        reply = Message("assistant")
    opening = dialect.render(conversation.messages, conversation.tools, short)
    return (*opening, Segment(dialect.render_reply(reply)), Segment(END_OF_TURN, marker=True))


@dataclass(frozen=True, slots=True)
class CannedRequest:
    """A prompt that asks for a call of the one tool in `toolbox`, and how every such call begins."""

    prompt: Prompt
    beginning: str
    toolbox: Toolbox


def canned_request(dialect: Dialect, short: bool) -> CannedRequest:
    """The request in a dialect; its arguments come from short lists, so that the call ends whatever the weights are."""
    schema: JsonObject = {
        "name": "reserve",
        "description": "Reserve a table.",
        "parameters": {
            "type": "object",
            "properties": {"people": {"enum": [2, 4, 6]}, "day": {"enum": ["friday", "saturday", "sunday"]}},
            "required": ["people", "day"],
        },
    }
    tool = tool_from_schema(schema, lambda people, day: None)
    example = dialect.render_reply(_calls(ToolCall("reserve", {"people": 2, "day": "friday"})))
    beginning = example[: example.index("reserve") + len("reserve")]
    messages: Sequence[Message] = (_user("Reserve a table for four on Saturday."),)
    return CannedRequest(dialect.render(messages, (tool.spec,), short), beginning, Toolbox([tool]))
