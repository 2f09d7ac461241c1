"""An agent that knows the goal and does everything right, over the same protocol as a model: it writes CRA steps.

It looks only at the user's words for what is wanted now (a search, details, a booking), and at the goal for the values.
"""

from __future__ import annotations

import json
import re

from coalm_lite.dialects import cra
from coalm_lite.evals.items import Answer, Ask, Outcome, Suite
from coalm_lite.evals.multiwoz.goals import Goal
from coalm_lite.evals.multiwoz.town import PLURALS
from coalm_lite.types import JsonObject, Message, ToolCall

_DOMAINS = {
    "taxi": r"\btaxi\b",
    "train": "train",
    "attraction": "attraction",
    "restaurant": "restaurant",
    "hotel": "stay",
}
_ENDS = (("departure", "from"), ("destination", "to"))
_DETAILS = re.compile(r"Can you tell me|Could you give me|I would like to know")
_BOOKING = re.compile(r"\bbook\b|How about (on|at|for)|Can you try")


class PerfectAgent:
    """Answers one conversation's asks; subclasses spoil a step."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.domain = ""
        self.row: JsonObject = {}

    def answer(self, ask: Ask) -> Answer:
        """The next step."""
        last = ask.messages[-1]
        step = self.after_user(last.text) if last.role == "user" else self.after_result(json.loads(last.text))
        return Answer(cra.render_reply(step))

    def after_user(self, text: str) -> Message:
        if not self.domain or "Also, " in text:
            self.domain = next(d for d, pattern in _DOMAINS.items() if re.search(pattern, text))
        goal = self.goal.of(self.domain)
        assert goal is not None
        if _DETAILS.search(text):
            return self.say(self.details(goal.requested))
        if self.domain == "taxi":
            found = {
                key: re.search(rf"\b{word} (.+?)(?= to | from | leaving | arriving |\.$)", text) for key, word in _ENDS
            }
            ends: JsonObject = {key: match[1] for key, match in found.items() if match}
            times: JsonObject = {key: goal.wanted[key] for key in ("leave_at", "arrive_by") if key in goal.wanted}
            return self.call("book_taxi", {**ends, **times})
        if _BOOKING.search(text):
            first = goal.first_booking and all(str(v) in text for v in goal.first_booking.values())
            return self.book(dict(goal.first_booking if first else goal.booking))
        vain = goal.first_wanted and not re.search("Then how about|In that case|All right, what about", text)
        return self.call(f"find_{PLURALS[self.domain]}", dict(goal.first_wanted if vain else goal.wanted))

    def book(self, details: JsonObject) -> Message:
        if self.domain == "train":
            route = {key: self.row[key] for key in ("departure", "destination", "day", "leave_at")}
            return self.call("book_train", {**route, **details})
        return self.call(f"book_{self.domain}", {"name": self.row["name"], **details})

    def after_result(self, result: JsonObject) -> Message:
        if "error" in result:
            return self.say("I am sorry, that is not possible.")
        if "reference" in result:
            self.row = result if self.domain == "taxi" else self.row
            return self.say(f"It is booked, the reference is {result['reference']}.")
        rows = result[PLURALS[self.domain]]
        if not isinstance(rows, list) or not rows:
            return self.say("I am sorry, there is none.")
        assert isinstance(rows[0], dict)
        self.row = rows[0]
        return self.say(f"There is {self.offer()}.")

    def offer(self) -> str:
        return str(self.row.get("name") or self.row["train_id"])

    def details(self, attributes: tuple[str, ...]) -> str:
        told = []
        for key in attributes:
            value = self.row.get(key)
            if isinstance(value, bool):
                told.append(f"It has {key}." if value else f"It has no {key}.")
            else:
                told.append(f"Its {key} is {value}.")
        return " ".join(told)

    def call(self, name: str, arguments: JsonObject) -> Message:
        return Message("assistant", calls=(ToolCall(name, arguments),))

    def say(self, words: str) -> Message:
        return Message("assistant", words)


def talked(suite: Suite, agent: PerfectAgent, number: int) -> tuple[Outcome, list[Message]]:
    """The outcome of one item, and the conversation as the agent last saw it."""
    play = suite.play(suite.items[number], "cra")
    ask = next(play)
    while True:
        try:
            ask = play.send(agent.answer(ask))
        except StopIteration as end:
            assert isinstance(end.value, Outcome)
            return end.value, list(ask.messages)
