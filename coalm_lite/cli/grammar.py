"""`coalm-lite grammar`: the grammar of a file of tools, or how it holds each keyword."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalm_lite import dialects
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json, print_table
from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.grammar import Held
    from coalm_lite.types import ToolSpec


@click.command()
@click.argument("tools", type=click.Path(path_type=Path))
@click.option(
    "--dialect", type=click.Choice(dialects.NAMES), default="hammer", show_default=True, help="The form of calls."
)
@click.option("--explain", is_flag=True, help="Print how each keyword is held instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
def grammar(tools: Path, dialect: str, explain: bool, as_json: bool) -> None:
    """Print the grammar of the calls of some tools.

    It is GBNF, as llama.cpp reads it. TOOLS is a JSON file: a list of tools with name, description and parameters (JSON
    Schema), or in OpenAI's form. With --explain: which keyword is held by the grammar, which by a check after a call is
    read (the model then sees the error), and which says nothing (annotation). A keyword that nothing can hold is an
    error, exit code 2.
    """
    compiled = dialects.get(dialect).compiled(_read(tools))
    if explain and as_json:
        print_json([asdict(held) for held in compiled.explain()])
    elif explain:
        _print_explanation(compiled.explain())
    elif as_json:
        print_json({"dialect": dialect, "gbnf": compiled.gbnf, "held": [asdict(held) for held in compiled.explain()]})
    else:
        click.echo(compiled.gbnf, nl=False)


def _read(path: Path) -> list[ToolSpec]:
    from coalm_lite.tools.schema import specs_from_json

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"cannot read the tools file {path}: {problem}", "Give a JSON file of tools.") from error
    return specs_from_json(text, str(path))


def _print_explanation(held: Sequence[Held]) -> None:
    rows = [(one.tool, one.pointer or "/", one.keyword, one.how, one.note) for one in held]
    print_table(("tool", "place", "keyword", "held by", "note"), rows)
