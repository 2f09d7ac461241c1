"""`coalm-lite chat`: a conversation on a terminal, as plain lines, or as JSON for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import SessionOptions, session_options, verbosity_options

if TYPE_CHECKING:
    from coalm_lite.cli.chat_loop import Screen
    from coalm_lite.cli.slash import Chat


@click.command()
@click.argument("model", required=False)
@session_options
@click.option("--json", "as_json", is_flag=True, help="Read a request a line, write an event a line, as JSON.")
@verbosity_options
@pass_invocation
def chat(invocation: Invocation, /, model: str | None, yes: bool, as_json: bool, **given: Any) -> None:
    """Talk with a model that calls tools.

    MODEL is nano, the model inside this package, a pulled model's name, or the path of a GGUF file or ONNX folder.
    Without it, it is the model pulled last or chosen with `coalm-lite use`, else nano. Each call is shown and asked
    about before it runs, unless --yes is given. /help in the chat lists its commands.

    With --json, a line of standard input is a request, and standard output gets one object a line: text, tool_call,
    tool_result, done, error. Calls then run only with --yes; without it the model is told that they were not allowed.
    """
    options = SessionOptions.read(_default_model() if model is None else model, given)
    if as_json:
        _chat_in_lines(invocation, options, yes)
    else:
        _chat_on_screen(invocation, options, yes)


def _default_model() -> str:
    """The name of the model to use, after it was said why it is not the chosen one."""
    from coalm_lite.cli.wording import printable
    from coalm_lite.store.names import default_model

    chosen = default_model()
    if chosen.note:
        click.echo(printable(chosen.note), err=True)
    return chosen.name


def _chat_in_lines(invocation: Invocation, options: SessionOptions, yes: bool) -> None:
    from coalm_lite.cli.chat_lines import answer_lines, utf8
    from coalm_lite.cli.open_model import open_model
    from coalm_lite.cli.turn import deny

    with open_model(options, None if yes else deny, invocation.open_engine) as opened:
        answer_lines(opened.session, iter(utf8(sys.stdin).readline, ""), sys.stdout)


def _chat_on_screen(invocation: Invocation, options: SessionOptions, yes: bool) -> None:
    from coalm_lite.cli.chat_loop import ChatLoop, Permission
    from coalm_lite.cli.open_model import open_model
    from coalm_lite.cli.slash import Chat

    screen = _screen()
    loop = ChatLoop(screen, timings=invocation.verbosity > 0)
    approve = None if yes else Permission(loop.ask)
    with open_model(options, approve, invocation.open_engine) as opened:
        conversation = Chat(opened.session, opened.model_name)
        if invocation.verbosity >= 0:
            screen.note(_first_screen(conversation, asks=not yes))
        loop.run(conversation)


def _screen() -> Screen:
    if sys.stdin.isatty() and sys.stdout.isatty():
        from rich.console import Console

        from coalm_lite.cli.chat_screen import TerminalScreen, history_path

        return TerminalScreen(Console(highlight=False, markup=False, emoji=False), history_path())
    from coalm_lite.cli.chat_plain import PlainScreen

    return PlainScreen(sys.stdin, sys.stdout, sys.stderr, sys.stdout)


def _first_screen(conversation: Chat, asks: bool) -> str:
    """Three lines: the model, its tools, the way to more."""
    from coalm_lite.cli.wording import printable, tool_count_words
    from coalm_lite.store.names import EMBEDDED

    session, name = conversation.session, printable(conversation.model_name)
    count = len(session.tools.specs)
    asked = "" if not count else ", each call asked about first" if asks else ", calls run without asking"
    embedded = ", the embedded model" if conversation.model_name == EMBEDDED else ""
    lines = (
        f"{name}{embedded} ({session.dialect.NAME}, {session.desk.info.context_tokens} tokens)",
        f"{tool_count_words(count)}{asked}",
        "/help lists the commands, Ctrl-D quits",
    )
    return "\n".join(lines)
