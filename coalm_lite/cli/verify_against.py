"""`coalm-lite verify NAME --against SOURCE`: a model held against what it was made of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.invocation import Invocation
from coalm_lite.cli.output import print_json, print_values
from coalm_lite.cli.provenance_lines import errors_words, verification_lines
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.converters.recheck import Comparison
    from coalm_lite.converters.verify import Base
    from coalm_lite.types import JsonObject

_WORK_NAME = "verify"


def verify_against(invocation: Invocation, name: str, source: str, threads: int | None, as_json: bool) -> int:
    """Print how the model `name` compares with `source`; returns the exit code."""
    from coalm_lite.converters.recheck import compare_with_source
    from coalm_lite.paths import cache_dir
    from coalm_lite.store.names import resolve_model
    from coalm_lite.store.provenance import is_shared

    model = resolve_model(name)
    beside = model.path if not (model.local or is_shared(model.path)) else cache_dir() / _WORK_NAME
    with _stages(invocation.verbosity >= 0) as report, _base(source) as base:
        comparison = compare_with_source(
            model.path, base, beside=beside, listed_dialects=model.dialects({}), threads=threads, report=report
        )
    if as_json:
        print_json(_as_json(model.path, comparison))
    else:
        print_values({label: words for label, words in _lines(model.name, comparison) if words})
    if comparison.problem:
        click.echo(printable(f"{model.name}: {comparison.problem}\nDo not use it: convert its source again."), err=True)
    return int(bool(comparison.problem))


@contextmanager
def _base(source: str) -> Iterator[Base]:
    """What to compare with; open as long as the block lasts, since a source on the Hub is read while it is compared."""
    from coalm_lite.catalog import catalog
    from coalm_lite.converters.sources.opening import open_source
    from coalm_lite.converters.verify import base_of, file_base
    from coalm_lite.hub.places import SCHEME, parse_place
    from coalm_lite.store.names import resolve_model

    place = parse_place(source) if source.startswith(SCHEME) else None
    is_folder = place is None and source not in catalog().names and Path(source).is_dir()
    if is_folder or (place and not (place.path or place.quant)):
        with open_source(source) as opened:
            yield base_of(opened)
    else:
        yield file_base(resolve_model(source).path)


@contextmanager
def _stages(wanted: bool) -> Iterator[Callable[[str], None]]:
    """Where to tell what is being done: a line on a terminal that goes again, nowhere else."""
    if not wanted or not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield status.update


def _lines(name: str, found: Comparison) -> Iterator[tuple[str, str]]:
    yield "model", name
    if found.tensors:
        yield "errors", errors_words(found.tensors.errors)
    yield from verification_lines(found.verification)
    yield "written", "into the model" if found.written else f"not into the model: {found.not_written}"


def _as_json(path: Path, found: Comparison) -> JsonObject:
    from coalm_lite.store.provenance import Provenance, as_json

    errors = found.tensors.errors if found.tensors else None
    return {
        "path": str(path),
        **as_json(Provenance(errors=errors, verification=found.verification)),
        "implausible_tensors": list(found.tensors.implausible) if found.tensors else [],
        "problem": found.problem,
        "written": found.written,
        "not_written": found.not_written,
    }
