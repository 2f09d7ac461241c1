"""The command reference as Markdown, made from the commands themselves, for the README.

`python -m coalm_lite.cli.reference` prints it; `--check README.md` fails when the README's part between the markers is
another, `--write README.md` puts it there. It does not depend on the terminal or on click's own layout.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from coalm_lite.cli import COMMANDS, PROGRAM, commands
from coalm_lite.cli.failures import exit_code_of
from coalm_lite.cli.invocation import Invocation
from coalm_lite.errors import UsageError

BEGIN = "<!-- command reference: begin -->"
END = "<!-- command reference: end -->"


def reference() -> str:
    """The reference of all commands, without the markers. An option that an earlier command explains is only named."""
    context = click.Context(commands, info_name=PROGRAM)
    parts = [_help_text(commands), "", *(f"- `{PROGRAM} {name}`: {line}" for name, line in COMMANDS.items())]
    explained: dict[str, str] = {}
    for name in COMMANDS:
        command = commands.get_command(context, name)
        if command is not None:
            parts += ["", _command_reference(command, context, explained)]
            explained |= {_option(option): name for option in _options(command) if _option(option) not in explained}
    return "\n".join(parts) + "\n"


def _command_reference(command: click.Command, parent: click.Context, explained: Mapping[str, str]) -> str:
    context = click.Context(command, info_name=command.name, parent=parent)
    arguments = [_argument(parameter) for parameter in command.params if isinstance(parameter, click.Argument)]
    usage = " ".join([context.command_path, "[OPTIONS]", *arguments])
    listed = [_option(option) for option in _options(command) if _option(option) not in explained]
    for earlier in dict.fromkeys(explained.values()):
        names = [f"`{o.opts[-1]}`" for o in _options(command) if explained.get(_option(o)) == earlier]
        listed += [f"- as for `{earlier}`: {', '.join(names)}"] if names else []
    return "\n".join([f"### {PROGRAM} {command.name}", "", f"`{usage}`", "", _help_text(command), "", *listed])


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _help_text(command: click.Command) -> str:
    """The command's help, each paragraph on one line."""
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required or argument.metavar else f"[{name}]"


def _option(option: click.Option) -> str:
    default = f" Default: {option.default}." if option.show_default else ""
    names = ", ".join(f"`{name}{_value(option)}`" for name in option.opts)
    return f"- {names}: {option.help}{default}"


def _value(option: click.Option) -> str:
    if option.is_flag or option.count:
        return ""
    if isinstance(option.type, click.Choice):
        return " " + "|".join(option.type.choices)
    return f" {option.metavar or option.type.name.upper()}"


def with_reference(page: str, place: str) -> str:
    """`page` with the reference between its markers; UsageError when they are not there once, in order."""
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end or BEGIN in old + after or END in after:
        raise UsageError(
            f"{place} lacks the markers of the command reference", f"It needs one line {BEGIN}, one {END}."
        )
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


@click.command()
@click.option("--check", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Fail if it is outdated.")
@click.option("--write", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Bring it up to date.")
def command(check: Path | None, write: Path | None) -> int:
    """Print the command reference, or check or write it in a page."""
    if check is None and write is None:
        click.echo(reference(), nl=False)
    for path in filter(None, (check, write)):
        page = path.read_text(encoding="utf-8")
        new = with_reference(page, str(path))
        if path == write:
            path.write_text(new, encoding="utf-8")
        elif page != new:
            click.echo(f"{path}: the command reference is outdated; --write brings it up to date", err=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(lambda: command.main(standalone_mode=False), Invocation()))
