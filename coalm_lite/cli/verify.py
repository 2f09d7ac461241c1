"""`coalm-lite verify`: whether pulled files are still what was pulled, and other models are whole and work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json
from coalm_lite.cli.wording import printable
from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.converters.recheck import FileCheck
    from coalm_lite.store.local import LocalModel
    from coalm_lite.store.names import ModelReference
    from coalm_lite.store.verify import Verified
    from coalm_lite.types import JsonObject


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--against",
    "source",
    metavar="SOURCE",
    help="What one model was made of: a checkpoint's folder, a GGUF file, a model's name, or hf:owner/repo.",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. Default: one a physical core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
@pass_invocation
def verify(
    invocation: Invocation, /, names: tuple[str, ...], source: str | None, threads: int | None, as_json: bool
) -> int:
    """Check that models are unchanged, or hold one against its source.

    NAME is a pulled model, nano, or the path of a GGUF file or ONNX folder; without one, all pulled models are checked.
    A pulled file is read once and held against the hash that the Hub gave when it was pulled; then its header is
    checked. Another one is held against the hash that stands in it, searched for values that are no numbers, loaded,
    and has to make a tool call.

    With --against, each tensor of NAME is compared with the source's, NAME has to make a tool call, and its logits are
    compared with those of the source's 16-bit model where memory allows. The numbers are written into a file that
    `coalm-lite convert` made, never into a pulled one. Exit code 1 when something is not as it was or ought to be.
    """
    if source is not None:
        from coalm_lite.cli.verify_against import verify_against

        if len(names) != 1:
            raise UsageError(f"--against is for one model, and {len(names) or 'none'} is named", "Name one model.")
        return verify_against(invocation, names[0], source, threads, as_json)
    pulled, others = _models(names)
    with _progress(pulled, others, invocation.verbosity >= 0) as report:
        results = [*_checked_pulled(pulled, report), *_checked_others(others, threads, report)]
    if as_json:
        print_json(results)
    else:
        _print(results, bool(names))
    return int(any(result["state"] != "fine" for result in results))


def _models(names: Sequence[str]) -> tuple[Sequence[LocalModel], Sequence[ModelReference]]:
    """The named models, each once, those that were pulled first; all pulled ones when none is named."""
    from coalm_lite.store.cache import HubCache
    from coalm_lite.store.local import local_models
    from coalm_lite.store.names import is_pulled_name, pulled_models, resolve_model

    if not names:
        return local_models(HubCache.of_user()), ()
    pulled = [model for name in names if is_pulled_name(name) for model in pulled_models(name)]
    others = [resolve_model(name) for name in names if not is_pulled_name(name)]
    return list({model.path: model for model in pulled}.values()), list({each.path: each for each in others}.values())


def _checked_pulled(models: Sequence[LocalModel], report: Callable[[int], None]) -> Iterator[JsonObject]:
    from coalm_lite.store.verify import verify as verified

    for model in models:
        yield _pulled_json(verified(model, report))


def _checked_others(
    models: Sequence[ModelReference], threads: int | None, report: Callable[[int], None]
) -> Iterator[JsonObject]:
    if models:
        from coalm_lite.converters.recheck import check_file

        for model in models:
            check = check_file(model.path, listed_dialects=model.dialects({}), threads=threads, report=report)
            yield _file_json(model, check)


@contextmanager
def _progress(
    pulled: Sequence[LocalModel], others: Sequence[ModelReference], wanted: bool
) -> Iterator[Callable[[int], None]]:
    """Where to tell how many bytes were read: a bar on a terminal, nowhere else."""
    if not wanted or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    total = sum(model.manifest.size_bytes for model in pulled) + sum(_bytes_to_read(model.path) for model in others)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def _bytes_to_read(path: Path) -> int:
    """About how many: a file is read for its hash and for its values."""
    return 2 * path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.glob("*"))


def _pulled_json(result: Verified) -> JsonObject:
    model = result.model
    return {
        "name": model.manifest.name,
        "place": model.place,
        "path": str(model.path),
        "state": result.state,
        "detail": result.detail,
    }


def _file_json(model: ModelReference, result: FileCheck) -> JsonObject:
    found = result.verification
    return {
        "name": model.name,
        "path": str(model.path),
        "state": result.state,
        "detail": result.detail,
        "hashed": result.hashed,
        "call": found.call if found else "",
        "not_called": found.not_called if found else "",
    }


def _print(results: Sequence[JsonObject], named: bool) -> None:
    for result in results:
        click.echo(printable(f"{result['name']}: {result['state']}{_detail(result)}"))
        if result["state"] != "fine":
            click.echo(printable(_way_out(result)), err=True)
    if not results and not named:
        click.echo("Nothing was pulled yet.", err=True)


def _detail(result: JsonObject) -> str:
    words = [str(result["detail"])] if result["detail"] else []
    if result["state"] == "fine" and "hashed" in result:
        words = [str(result["call"]) or f"no tool call was tried, {result['not_called']}"]
        words += [] if result["hashed"] else ["no hash stands in it to hold its bytes against"]
    return f": {'; '.join(words)}" if words else ""


def _way_out(result: JsonObject) -> str:
    if "place" in result:
        return f"`coalm-lite rm {result['name']}` and `coalm-lite pull {result['name']}` bring it anew."
    return f"Do not use {result['path']}: copy it anew, or convert its source again."
