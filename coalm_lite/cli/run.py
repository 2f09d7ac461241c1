"""`coalm-lite run`: one request, its answer on standard output, for scripts."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from coalm_lite.cli.failures import INTERRUPTED
from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import SessionOptions, session_options, verbosity_options
from coalm_lite.errors import CoalmError, UsageError

if TYPE_CHECKING:
    from coalm_lite.cli.slash import Chat
    from coalm_lite.types import StopReason

STANDARD_INPUT = "-"
_EXIT_CODES: dict[str, int] = {"cancelled": INTERRUPTED, "steps": 1}


@click.command()
@click.argument("model")
@click.argument("text")
@session_options
@click.option("--json", "as_json", is_flag=True, help="Write an event a line, as JSON, in place of the answer.")
@verbosity_options
@pass_invocation
def run(invocation: Invocation, /, model: str, text: str, yes: bool, as_json: bool, **given: Any) -> int:
    """Answer one request, for scripts.

    MODEL is nano, the model inside this package, a pulled model's name, or the path of a GGUF file or ONNX folder.
    TEXT is the request, - reads it from standard input. The answer goes to standard output, calls and their results go
    to standard error. Calls run only with --yes; without it the model is told that they were not allowed.

    Exit code 1 when the request ended without an answer.
    """
    from coalm_lite.cli.open_model import open_model
    from coalm_lite.cli.slash import Chat
    from coalm_lite.cli.turn import deny

    request = _request(text)
    options = SessionOptions.read(model, given)
    with open_model(options, None if yes else deny, invocation.open_engine) as opened:
        chat = Chat(opened.session, opened.model_name)
        reason = _as_events(chat, request) if as_json else _as_text(chat, request, invocation.verbosity)
    return _EXIT_CODES.get(reason, 0)


def _request(text: str) -> str:
    """The request; UsageError when there is none or it is no text."""
    from coalm_lite.cli.chat_lines import checked_text, utf8

    if text == STANDARD_INPUT:
        text = utf8(sys.stdin).read().rstrip("\r\n")
    if not text.strip():
        raise UsageError("the request is empty", "Give it as TEXT, or on standard input with -.")
    return checked_text(text)


def _as_events(chat: Chat, request: str) -> StopReason:
    """Write the turn's events, an error among them, as JSON lines; returns why it ended."""
    from coalm_lite.cli.chat_lines import EventWriter
    from coalm_lite.cli.turn import turn

    writer = EventWriter(sys.stdout)
    try:
        with closing(turn(chat.session, request)) as events:
            return writer.turn(events)
    except CoalmError as error:
        writer.error(error.message, error.hint)
        raise


def _as_text(chat: Chat, request: str, verbosity: int) -> StopReason:
    """Write the answer as it comes, calls and results beside it on standard error; returns why it ended."""
    from coalm_lite.cli.chat_loop import ChatLoop
    from coalm_lite.cli.chat_plain import PlainScreen

    steps = sys.stderr if verbosity >= 0 else None
    loop = ChatLoop(PlainScreen(sys.stdin, sys.stdout, sys.stderr, steps), timings=verbosity > 0)
    loop.answer(chat, request)
    return chat.turns[-1].reason
