"""`coalm-lite imatrix`: measure which columns of a model's matrices matter, for quantizing it with less loss."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.converters.imatrix import ImatrixProgress, ImatrixReport

    Report: TypeAlias = Callable[[ImatrixProgress], None]

_SUFFIX = ".imatrix.gguf"
_TENTHS = 10


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A text to measure on, or .jsonl with a text or a conversation a line. Default: conversations made here.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help=f"Default: SOURCE{_SUFFIX}, here."
)
@click.option(
    "--chunks",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most chunks to measure. Default: all of FILE, or 64 of the conversations made here.",
)
@click.option(
    "--context",
    "chunk_tokens",
    type=click.IntRange(min=16),
    metavar="N",
    default=512,
    show_default=True,
    help="Tokens in a chunk.",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. Default: one a physical core.")
@click.option(
    "--gpu-layers",
    type=click.IntRange(min=-1),
    metavar="N",
    help="Layers computed on the GPU, -1 for all. Default: all where llama.cpp was built for one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
@pass_invocation
def imatrix(
    invocation: Invocation,
    /,
    source: str,
    data: Path | None,
    output: Path | None,
    as_json: bool,
    **measure: Any,  # as click types its values
) -> None:
    """Measure a model for quantizing it with less loss.

    SOURCE is a GGUF file, best of 16 bits, or the name of a model on this machine. It reads texts and writes down how
    strongly each column of its matrices is used: an importance matrix, for `coalm-lite convert --imatrix` and for
    llama.cpp's llama-quantize. By default the texts are function calls and conversations in CoALM's forms, made here;
    never measure on a benchmark's text. Ctrl-C leaves no file behind.

    FILE is one text, or, ending in .jsonl, a line for each of many: {"text": TEXT}, or {"tools": [...], "messages":
    [...], "dialect": "cra"} with messages as in a saved conversation (role, text, calls, thought), the last one the
    assistant's.
    """
    from coalm_lite.converters.imatrix import MeasureOptions, make_imatrix
    from coalm_lite.store.names import resolve_model

    path = resolve_model(source).path
    with _progress(invocation.verbosity >= 0) as report:
        made = make_imatrix(path, output or Path(path.stem + _SUFFIX), data, MeasureOptions(**measure), report=report)
    if as_json:
        print_json(asdict(made) | {"target": str(made.target)})
    else:
        click.echo(printable(_line(made)))


@contextmanager
def _progress(wanted: bool) -> Iterator[Report]:
    """Where to tell how far it is: a bar on a terminal, a line a tenth elsewhere."""
    if not wanted or not sys.stderr.isatty():
        yield _lines(wanted)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("measuring"), BarColumn(), TextColumn("{task.fields[words]}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, words="")
        yield lambda now: bar.update(task, total=now.total, completed=now.done, words=_words(now))


def _lines(wanted: bool) -> Report:
    told = -1

    def tell(now: ImatrixProgress) -> None:
        nonlocal told
        tenth = now.done * _TENTHS // now.total
        if wanted and tenth != told:
            told = tenth
            click.echo(f"measuring {_words(now)}", err=True)

    return tell


def _words(now: ImatrixProgress) -> str:
    from coalm_lite.cli.pull_progress import time_words

    left = f", {time_words(now.seconds_left)} left" if now.seconds_left >= 1 else ""
    return f"{now.done} of {now.total} chunks{left}"


def _line(made: ImatrixReport) -> str:
    return (
        f"{made.target} holds the importance of {made.matrices} matrices, measured on {made.chunks} chunks of"
        f" {made.chunk_tokens} tokens: {made.dataset}"
    )
