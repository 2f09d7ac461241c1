"""How the commands about models print: a table or JSON on standard output, sizes in words, one question."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

import click

from coalm_lite.cli.wording import printable
from coalm_lite.errors import UsageError

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def size_words(size_bytes: int) -> str:
    """`4.92 GB`: decimal units, three digits, as the Hub shows sizes; "" for 0."""
    if not size_bytes:
        return ""
    number, unit = float(size_bytes), 0
    while number >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        number, unit = number / _STEP, unit + 1
    digits = 0 if unit == 0 or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f} {_UNITS[unit]}"


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings: drawn on a terminal, as aligned columns elsewhere."""
    cells = [[" ".join(printable(cell).split()) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw_table(headings, cells)
        return
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for row in (headings, *cells):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def print_values(values: Mapping[str, str]) -> None:
    """Print a name and its value a line."""
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{printable(name).ljust(width)}  {' '.join(printable(value).split())}")


def warn(message: str, hint: str = "") -> None:
    """Print a warning on standard error."""
    click.echo(printable(f"warning: {message}\nhint: {hint}" if hint else f"warning: {message}"), err=True)


def may_go_on(reason: str, question: str, yes: bool) -> bool:
    """Whether the user agrees; UsageError, with the reason, when nobody can be asked and `yes` was not given."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{reason}, and nobody can be asked here", "Give --yes to agree.")
    click.echo(printable(f"{reason}."), err=True)
    agreed = click.confirm(printable(question), err=True)
    if not agreed:
        click.echo("Nothing was deleted.", err=True)
    return agreed
