"""`coalm-lite verify`: whether pulled files are still what was pulled."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.store.local import LocalModel
    from coalm_lite.store.verify import Verified
    from coalm_lite.types import JsonObject


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
@pass_invocation
def verify(invocation: Invocation, /, names: tuple[str, ...], as_json: bool) -> int:
    """Check that pulled files are unchanged.

    Each file is read once and held against the hash that the Hub gave when it was pulled; then its header is checked.
    NAME is a pulled model; without one, all are checked. Exit code 1 when one is not as it was.
    """
    from coalm_lite.store.verify import verify as verified

    models = _models(names)
    with _progress(models, invocation.verbosity >= 0) as report:
        results = [verified(model, report) for model in models]
    if as_json:
        print_json([_as_json(result) for result in results])
    else:
        _print(results)
    return int(any(result.state != "fine" for result in results))


def _models(names: Sequence[str]) -> Sequence[LocalModel]:
    """The named models, each once; all when none is named."""
    from coalm_lite.store.cache import HubCache
    from coalm_lite.store.local import local_models
    from coalm_lite.store.names import pulled_models

    if not names:
        return local_models(HubCache.of_user())
    return list({model.path: model for name in names for model in pulled_models(name)}.values())


@contextmanager
def _progress(models: Sequence[LocalModel], wanted: bool) -> Iterator[Callable[[int], None]]:
    """Where to tell how many bytes were read: a bar on a terminal, nowhere else."""
    if not wanted or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=sum(model.manifest.size_bytes for model in models))
        yield lambda count: bar.advance(task, count)


def _as_json(result: Verified) -> JsonObject:
    model = result.model
    return {
        "name": model.manifest.name,
        "place": model.place,
        "path": str(model.path),
        "state": result.state,
        "detail": result.detail,
    }


def _print(results: Sequence[Verified]) -> None:
    for result in results:
        detail = f": {result.detail}" if result.detail else ""
        click.echo(printable(f"{result.model.manifest.name}: {result.state}{detail}"))
        if result.state != "fine":
            name = result.model.manifest.name
            click.echo(printable(f"`coalm-lite rm {name}` and `coalm-lite pull {name}` bring it anew."), err=True)
    if not results:
        click.echo("Nothing was pulled yet.", err=True)
