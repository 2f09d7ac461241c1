"""What `convert` shows: a bar on a terminal and nothing elsewhere, the plan of a dry run, and the end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from coalm_lite.cli.output import size_words
from coalm_lite.cli.provenance_lines import errors_words, verification_lines
from coalm_lite.cli.pull_progress import progress_words, time_words
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.converters.conversion import Conversion
    from coalm_lite.converters.onnx import OnnxReport
    from coalm_lite.converters.plan import ConversionPlan
    from coalm_lite.converters.recheck import Comparison
    from coalm_lite.hub.progress import Progress
    from coalm_lite.types import JsonObject


class ConvertScreen:
    """Progress on standard error, on a terminal alone. A context manager: the bar is taken away at the end."""

    def __init__(self, verbosity: int) -> None:
        self._quiet = verbosity < 0
        self._stack = ExitStack()
        self._bar = None
        if sys.stderr.isatty() and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}", markup=False))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5)
            self._task = self._bar.add_task("reading", total=None, words="")

    def __enter__(self) -> Self:
        if self._bar:
            self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tell(self, text: str) -> None:
        """Say one thing, such as why nothing comes for now."""
        if self._bar:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        elif not self._quiet:
            click.echo(printable(text), err=True)

    def stage(self, name: str) -> None:
        """Say what is done now, of which no share is known."""
        if self._bar:
            self._bar.update(self._task, description=name, total=None, words="")

    def progress(self, now: Progress) -> None:
        """Show how far the conversion is."""
        if self._bar:
            self._bar.update(
                self._task,
                description=now.stage,
                completed=now.done_bytes,
                total=now.total_bytes,
                words=progress_words(now),
            )


def conversion_lines(made: Conversion) -> Iterator[str]:
    """The end, in a line for each thing that was found."""
    report, record = made.report, made.record
    resumed = f", {report.resumed} of them left by an earlier run" if report.resumed else ""
    yield (
        f"{report.target} is ready: {report.quant.upper()}, {size_words(report.size_bytes)},"
        f" {len(report.tensor_types)} tensors{resumed}"
    )
    found = [("errors", errors_words(record.errors))] if record.errors else []
    found += verification_lines(record.verification) if record.verification else []
    yield from _aligned(found)


def conversion_json(made: Conversion) -> JsonObject:
    """What was written and found, for programs."""
    from coalm_lite.store.provenance import as_json

    report = made.report
    return {
        "target": str(report.target),
        "quant": str(report.quant),
        "parameters": report.parameters,
        "size_bytes": report.size_bytes,
        "resumed_tensors": report.resumed,
        "tensor_types": dict(report.tensor_types),
        "provenance": as_json(made.record),
        "problems": list(made.problems),
    }


def _aligned(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A name and its words a line, without those of which nothing is known."""
    return (f"{name:10} {' '.join(words.split())}" for name, words in found if words)


def onnx_lines(made: OnnxReport, comparison: Comparison | None) -> Iterator[str]:
    """The end, in a line for each thing that was found."""
    yield f"{made.target} is ready: {made.recipe}, {size_words(made.size_bytes)}"
    if comparison is not None:
        yield from _aligned(verification_lines(comparison.verification))


def onnx_json(made: OnnxReport, comparison: Comparison | None) -> JsonObject:
    """What was written and found, for programs."""
    from coalm_lite.store.provenance import Provenance, as_json

    found = as_json(Provenance(verification=comparison.verification)) if comparison else {}
    return {**asdict(made), "target": str(made.target), "quant": str(made.quant), **found}


def plan_lines(plan: ConversionPlan) -> Iterator[str]:
    """What a conversion takes, a line a question, then each tensor."""
    about = "" if plan.head_is_exact else "about "
    read = "from the Hub" if plan.is_remote else "from this machine"
    yield f"source   {plan.place}, {plan.parameters:,} parameters"
    yield f"read     {size_words(plan.read_bytes)} {read}"
    yield f"result   {plan.quant.upper()}, {about}{size_words(plan.size_bytes)} ({plan.size_bytes} bytes)"
    yield f"memory   at most {size_words(plan.memory_bytes)} with {plan.threads} threads"
    if plan.compute_s is not None:
        yield f"time     about {time_words(plan.compute_s)} on this machine, if the source keeps up"
    counts = Counter(info.kind.name for info in plan.tensors)
    yield "types    " + ", ".join(f"{count} {name}" for name, count in counts.most_common())
    width = max(len(info.name) for info in plan.tensors)
    for info in plan.tensors:
        shape = " x ".join(map(str, info.shape))
        yield f"  {info.name.ljust(width)}  {info.kind.name:5} {shape}"


def plan_json(plan: ConversionPlan) -> JsonObject:
    """The plan for programs."""
    return {
        "place": plan.place,
        "quant": str(plan.quant),
        "parameters": plan.parameters,
        "read_bytes": plan.read_bytes,
        "is_remote": plan.is_remote,
        "size_bytes": plan.size_bytes,
        "size_is_exact": plan.head_is_exact,
        "memory_bytes": plan.memory_bytes,
        "threads": plan.threads,
        "compute_s": plan.compute_s,
        "tensors": [
            {"name": info.name, "shape": list(info.shape), "type": info.kind.name, "size_bytes": info.size_bytes}
            for info in plan.tensors
        ],
    }
