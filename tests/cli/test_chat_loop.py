from __future__ import annotations

import signal
from collections.abc import Iterable

from coalm_lite.cli.chat_loop import Answer, ChatLoop, Permission
from coalm_lite.cli.slash import Chat
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.session import Session
from coalm_lite.tools import Toolbox
from coalm_lite.types import Sampling

FIND, BOOK = "Action: find(area='north')", "Action: book(name='Alm')"


class RecordingScreen:
    """A screen that answers from lists and writes down what it is told, consecutive text together."""

    def __init__(self, requests: Iterable[str], answers: Iterable[Answer | type[KeyboardInterrupt]] = ()) -> None:
        self._requests = iter(requests)
        self._answers = iter(answers)
        self.shown: list[tuple[str, str]] = []
        self._open = False

    def read(self) -> str:
        try:
            return next(self._requests)
        except StopIteration:
            raise EOFError from None

    def ask(self, question: str) -> Answer:
        self.shown.append(("ask", question))
        answer = next(self._answers)
        if isinstance(answer, str):
            return answer
        raise answer

    def text(self, delta: str) -> None:
        if self._open:
            kind, before = self.shown.pop()
            assert kind == "text"
            delta = before + delta
        self.shown.append(("text", delta))
        self._open = True

    def end_text(self) -> None:
        self._open = False

    def step(self, label: str, words: str) -> None:
        assert not self._open
        self.shown.append((label, words))

    def note(self, words: str) -> None:
        assert not self._open
        self.shown.append(("note", words))

    def error(self, words: str) -> None:
        assert not self._open
        self.shown.append(("error", words))


def find(area: str) -> list[str]:
    """Find."""
    return [f"Alm in the {area}"]


def book(name: str) -> str:
    """Book."""
    return f"RX7 for {name}"


def talk(
    replies: Iterable[str],
    requests: Iterable[str],
    answers: Iterable[Answer | type[KeyboardInterrupt]] | None = None,
    sampling: Sampling | None = None,
) -> tuple[list[tuple[str, str]], Chat]:
    """What was shown in a conversation, and its end; without `answers` calls run without asking."""
    screen = RecordingScreen(requests, answers or ())
    loop = ChatLoop(screen)
    approve = None if answers is None else Permission(loop.ask)
    engine = ScriptedEngine(list(replies), 16384)
    chat = Chat(Session(engine, Toolbox([find, book]), approve=approve, sampling=sampling, max_steps=3), "m")
    loop.run(chat)
    return screen.shown, chat


def test_without_asking_a_call_its_result_and_the_answer_are_shown_in_order() -> None:
    shown, _ = talk([FIND, "System: The Alm."], ["a hotel"])
    assert shown == [("call", "find(area='north')"), ("result", '["Alm in the north"]'), ("text", "The Alm.")]


def test_a_call_is_shown_once_before_it_is_asked_about() -> None:
    shown, _ = talk([FIND, "System: The Alm."], ["a hotel"], ["once"])
    assert [kind for kind, _ in shown] == ["call", "ask", "result", "text"]
    assert shown[1] == ("ask", "Run find? yes once, no, always in this chat")


def test_no_means_that_the_call_does_not_run_and_the_model_goes_on() -> None:
    shown, chat = talk([BOOK, "System: Then not."], ["book it"], ["no"])
    assert [kind for kind, _ in shown] == ["call", "ask", "failed", "text"]
    assert "did not allow" in chat.session.messages[2].text


def test_once_asks_again_and_always_does_not_but_only_for_that_tool() -> None:
    replies = [f"{FIND}\n{FIND}\n{BOOK}\n{FIND}", "System: Done.", FIND, "System: Again."]
    shown, _ = talk(replies, ["one", "two"], ["once", "always", "once"])
    asked = [words.split("?")[0] for kind, words in shown if kind == "ask"]
    assert asked == ["Run find", "Run find", "Run book"]
    assert [kind for kind, _ in shown].count("result") == 5


def test_an_invalid_call_is_shown_with_its_error_and_never_asked_about() -> None:
    shown, _ = talk(["Action: book(nme='Alm')", "System: Sorry."], ["book it"], [])
    assert [kind for kind, _ in shown] == ["call", "failed", "text"]
    assert shown[0][1] == "book(nme='Alm')"


def test_two_equal_calls_in_a_step_are_both_shown() -> None:
    shown, _ = talk([f"{FIND}\n{FIND}", "System: Twice."], ["go"])
    assert [kind for kind, _ in shown] == ["call", "result", "call", "result", "text"]


def test_ctrl_c_at_a_question_stops_the_turn_and_the_chat_goes_on() -> None:
    shown, chat = talk([BOOK, "System: Hello."], ["book it", "hi"], [KeyboardInterrupt])
    assert [kind for kind, _ in shown] == ["call", "ask", "note", "text"]
    assert shown[2] == ("note", "stopped")
    assert [message.text for message in chat.session.messages] == ["hi", "Hello."]


def test_ctrl_c_in_an_answer_keeps_what_was_shown() -> None:
    class Impatient(RecordingScreen):
        def text(self, delta: str) -> None:
            super().text(delta)
            if self.shown[-1][1] == "Let me":
                signal.raise_signal(signal.SIGINT)

    screen = Impatient(["hi", "and?"])
    chat = Chat(Session(ScriptedEngine(["System: Let me explain.", "System: Well."], 16384), Toolbox([])), "m")
    ChatLoop(screen).run(chat)
    assert screen.shown == [("text", "Let me"), ("note", "stopped"), ("text", "Well.")]


def test_a_turn_that_ends_without_an_answer_says_so() -> None:
    shown, _ = talk([FIND] * 3, ["go"])
    assert shown[-1] == ("note", "stopped after 3 steps without an answer; --max-steps raises the limit")


def test_a_cut_answer_says_so() -> None:
    shown, _ = talk(["System: a long answer"], ["go"], sampling=Sampling(max_tokens=14))
    assert shown == [
        ("text", "a long"),
        ("note", "the answer was cut at 14 tokens; --max-tokens raises the limit"),
    ]


def test_an_error_in_a_turn_is_shown_with_its_hint_and_the_next_turn_works() -> None:
    shown, chat = talk(["Sys", "System: Hello."], ["one", "two"])
    assert shown[0][0] == "error"
    assert shown[0][1].startswith("error: the step ends before its label is complete")
    assert shown[1] == ("text", "Hello.")
    assert [message.text for message in chat.session.messages] == ["two", "Hello."]


def test_a_request_after_a_space_may_begin_with_a_slash() -> None:
    shown, chat = talk(["System: A path."], [" /etc/hosts"])
    assert shown == [("text", "A path.")]
    assert chat.session.messages[0].text == " /etc/hosts"
