"""The command line: the group of commands, each imported only when it is used, and the entry point `main`.

A command parses, calls the library and prints; errors become messages and exit codes in `failures` alone. Exit codes:
0 done, 1 a failure the user can act on, 2 wrong usage, 3 a gate not met, 4 undecided, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from coalm_lite.cli.failures import exit_code_of
from coalm_lite.cli.invocation import Invocation

if TYPE_CHECKING:
    from coalm_lite.cli.invocation import EngineFactory

PROGRAM = "coalm-lite"
# Name, and the line that `--help` shows: each command stands in the module of its name, as the function of its name.
COMMANDS = {
    "chat": "Talk with a model that calls tools.",
    "run": "Answer one request, for scripts.",
    "serve": "Serve a model to programs, in OpenAI's protocol.",
    "pull": "Fetch a model from the Hugging Face Hub.",
    "list": "List the models on this machine.",
    "show": "Show what is known of a model on this machine.",
    "use": "Choose the model that chat uses when none is named.",
    "verify": "Check that models are unchanged, or hold one against its source.",
    "rm": "Delete pulled models.",
    "prune": "Delete what interrupted pulls left.",
    "convert": "Convert a Llama checkpoint in one pass.",
    "imatrix": "Measure a model for quantizing it with less loss.",
    "grammar": "Print the grammar of the calls of some tools.",
    "data": "Fetch the benchmarks' public data, or list what is here.",
    "bench": "Measure how fast a model is on this machine.",
    "eval": "Measure how well a model does on benchmarks.",
    "report": "Compare runs of quantized models with their base's, item by item.",
    "doctor": "Check this machine and this installation.",
}
# Except where that name is a builtin's, which the module would hide in this package.
_HOMES = {"list": ("list_local", "list_models"), "eval": ("evaluate", "evaluate")}


class LazyGroup(click.Group):
    """The commands of `COMMANDS`; listing them imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, function = _HOMES.get(cmd_name, (cmd_name, cmd_name))
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; a misspelled one is told which it may be."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            guess = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(error.message + guess, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command's line."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        import coalm_lite

        click.echo(f"{PROGRAM} {coalm_lite.__version__}")
        context.exit()


@click.group(cls=LazyGroup, name=PROGRAM, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def commands() -> None:
    """Run CoALM, the conversational agent models that call functions, on this machine.

    Exit codes: 0 done, 1 a failure you can act on, 2 wrong usage, 3 a gate not met, 4 undecided, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None, open_engine: EngineFactory | None = None) -> NoReturn:
    """Run the command line and exit. `open_engine` opens models in place of llama.cpp: for tests and other engines."""
    if getattr(sys, "frozen", False):  # `eval` starts processes, which in a frozen program begin here
        from multiprocessing import freeze_support

        freeze_support()
    invocation = Invocation() if open_engine is None else Invocation(open_engine)

    def work() -> object:
        return commands.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=invocation)

    sys.exit(exit_code_of(work, invocation))
