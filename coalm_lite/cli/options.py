"""The options that `chat` and `run` share, and their values in one object.

Sampling's options are made from the fields and defaults of `Sampling`, so that they are written down once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import click

from coalm_lite import dialects
from coalm_lite.cli.invocation import Invocation
from coalm_lite.types import Sampling

Command: TypeAlias = Callable[..., object]
DEMO, NO_TOOLS = "demo", "none"
MAX_STEPS = 8
_SAMPLING_HELP = {
    "temperature": "How freely tokens are drawn; 0 always takes the most likely one.",
    "top_k": "Draw among this many most likely tokens; 0 for all.",
    "top_p": "Draw among the most likely tokens that make up this probability; 1 for all.",
    "min_p": "Draw among tokens this many times as likely as the most likely one; 0 for all.",
    "repeat_penalty": "Make tokens that were used lately less likely; 1 does not.",
    "repeat_window_tokens": "How many tokens the repeat penalty looks back on.",
    "seed": "Draw the same tokens again with the same number.",
    "max_tokens": "The longest step of an answer.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What the user asked of a session; None is chosen by the model or the machine. No tools named: by the model."""

    model: str
    tools: tuple[str, ...]
    database: Path | None
    system: str
    dialect: str | None
    max_steps: int
    sampling: Sampling
    context_tokens: int | None
    threads: int | None
    gpu_layers: int | None

    @classmethod
    def read(cls, model: str, given: Mapping[str, Any]) -> SessionOptions:
        """The options in what click passes on; Any, as click types its values."""
        own = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        sampling = Sampling(**{field.name: given[field.name] for field in fields(Sampling)})
        return cls(model=model, sampling=sampling, **own)


def session_options(command: Command) -> Command:
    """Give a command the options of a session; it gets their values as keywords."""
    for option in reversed([*_tool_options(), *_model_options(), *_sampling_options()]):
        command = option(command)
    return command


def _tool_options() -> list[Callable[[Command], Command]]:
    tools_help = (
        "Functions that the model may call: demo (a fictional town's guide), none, or a Python file. May be given"
        " several times. Default: demo with the model nano, none with others."
    )
    return [
        click.option("--tools", multiple=True, metavar="demo|none|FILE.py", help=tools_help),
        click.option("--yes", is_flag=True, help="Run the calls without asking."),
        click.option(
            "--database",
            type=click.Path(path_type=Path),
            help="Where the demo tools keep their bookings. Default: a file in your data folder.",
        ),
        click.option(
            "--max-steps",
            type=click.IntRange(min=1),
            metavar="N",
            default=MAX_STEPS,
            show_default=True,
            help="The most steps, calls or an answer, that one request may take.",
        ),
    ]


def _model_options() -> list[Callable[[Command], Command]]:
    positive = click.IntRange(min=1)
    return [
        click.option("--system", default="", metavar="TEXT", help="Standing instructions for the model."),
        click.option(
            "--dialect",
            type=click.Choice(dialects.NAMES),
            help="The form of prompts and calls. Default: the model's own, else cra.",
        ),
        click.option(
            "--context",
            "context_tokens",
            type=positive,
            metavar="N",
            help="Tokens that the conversation may fill. Default: the model's own, at most 4096.",
        ),
        click.option("--threads", type=positive, metavar="N", help="CPU threads. Default: one a physical core."),
        click.option(
            "--gpu-layers",
            type=click.IntRange(min=-1),
            metavar="N",
            help="Layers computed on the GPU, -1 for all. Default: all where llama.cpp was built for one.",
        ),
    ]


def _sampling_options() -> list[Callable[[Command], Command]]:
    return [
        click.option(
            "--" + field.name.replace("_", "-"),
            type=float if isinstance(field.default, float) else int,
            default=field.default,
            show_default=field.default is not None,
            metavar="X" if isinstance(field.default, float) else "N",
            help=_SAMPLING_HELP[field.name],
        )
        for field in fields(Sampling)
    ]


def verbosity_options(command: Command) -> Command:
    """Give a command -q and -v, which set the invocation's verbosity."""
    quiet = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_lower,
        help="Say less: no first screen in a chat, no calls in a run, no progress.",
    )
    verbose = click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_raise, help="Show timings; -vv: logs, tracebacks."
    )
    return quiet(verbose(command))


def _lower(context: click.Context, _parameter: click.Parameter, quiet: bool) -> None:
    context.ensure_object(Invocation).verbosity -= int(quiet)


def _raise(context: click.Context, _parameter: click.Parameter, count: int) -> None:
    context.ensure_object(Invocation).verbosity += count
    if count:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("coalm_lite").setLevel(logging.DEBUG if count > 1 else logging.WARNING)
