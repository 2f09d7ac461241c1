"""What `pull` shows: the plan before the first byte, a bar on a terminal or a line a tenth elsewhere, and the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from coalm_lite.cli.output import size_words
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from coalm_lite.hub.progress import Progress
    from coalm_lite.pull.build import BuildPlan
    from coalm_lite.pull.fetch import Pulled
    from coalm_lite.pull.plan import PullPlan
    from coalm_lite.types import JsonObject

_TENTHS = 10
_STAGES = {"fetching": "fetching", "hashing": "checking", "waiting": "waiting", "converting": "building"}


class PullScreen:
    """Progress on standard error. A context manager: the bar of a terminal is taken away at the end."""

    def __init__(self, verbosity: int) -> None:
        self._quiet = verbosity < 0
        self._bar = _bar() if sys.stderr.isatty() and not self._quiet else None
        self._task = self._bar.add_task("", total=None, words="") if self._bar else None
        self._shown: tuple[str, int] = ("", -1)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, lines: Sequence[str]) -> None:
        """Say what it will take."""
        if not self._quiet:
            click.echo("\n".join(lines), err=True)

    def tell(self, text: str) -> None:
        """Say one thing, such as why nothing comes for now."""
        if self._quiet:
            return
        if self._bar:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        else:
            click.echo(printable(text), err=True)

    def stage(self, name: str) -> None:
        """Say what is done now, of which no share is known."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=name, total=None, words="")
        else:
            self.tell(name)

    def report(self, progress: Progress) -> None:
        """Show how far it is."""
        if progress.stage == "waiting":
            self.tell(progress.note)
        elif self._bar and self._task is not None:
            self._bar.update(
                self._task,
                description=_STAGES[progress.stage],
                completed=progress.done_bytes,
                total=progress.total_bytes,
                words=progress_words(progress),
            )
        elif not self._quiet:
            self._line(progress)

    def _line(self, progress: Progress) -> None:
        """A line for each tenth that is reached, and for each beginning."""
        tenth = progress.done_bytes * _TENTHS // max(progress.total_bytes, 1)
        if (progress.stage, tenth) != self._shown and progress.total_bytes:
            self._shown = (progress.stage, tenth)
            share = 100 * progress.done_bytes // progress.total_bytes
            click.echo(f"{_STAGES[progress.stage]} {share:3d} %  {progress_words(progress)}", err=True)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}", markup=False))
    bar = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5)
    return bar


def progress_words(progress: Progress) -> str:
    """`1.97 GB of 4.92 GB, 11.2 MB/s, 4 min left`, as far as it is known."""
    words = f"{size_words(progress.done_bytes) or '0'} of {size_words(progress.total_bytes)}"
    if progress.bytes_per_s:
        words += f", {size_words(round(progress.bytes_per_s))}/s"
    if progress.seconds_left and progress.seconds_left >= 1:
        words += f", {time_words(progress.seconds_left)} left"
    return words


def time_words(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def plan_lines(plan: PullPlan) -> list[str]:
    """What the pull takes, a line a question."""
    remote, machine = plan.remote, plan.machine
    missing = size_words(plan.missing_bytes) or "nothing"
    have = "all of it is here already" if plan.kept else f"{size_words(plan.partial_bytes)} of it is here already"
    size = size_words(remote.size_bytes) + (f", {have}" if plan.kept or plan.partial_bytes else "")
    memory = "unknown: the file does not tell the model's shape"
    if plan.memory:
        need = plan.memory
        memory = (
            f"needs {size_words(need.total_bytes)} with a context of {plan.context_tokens} tokens"
            f" (weights {size_words(need.weights_bytes)}, KV cache {size_words(need.kv_bytes)},"
            f" buffers {size_words(need.buffer_bytes)}); this machine has {size_words(machine.total_bytes)},"
            f" {size_words(machine.available_bytes)} of it free"
        )
    rows = {
        "model": f"{plan.description.name}: {remote.path} of {remote.repository} at {remote.revision[:12]}",
        "size": size,
        "disk": f"needs {missing}, {size_words(plan.free_disk_bytes) or 'nothing'} is free",
        "memory": memory,
        "licence": (plan.license or "none is named") + (" (you will be asked)" if plan.needs_consent else ""),
    }
    return [printable(f"{name:8} {words}") for name, words in rows.items()]


def build_lines(plan: BuildPlan) -> list[str]:
    """What building a file takes, a line a question."""
    needs = plan.needs
    there = (
        "" if plan.missing_bytes == needs.file_bytes else f", {size_words(plan.missing_bytes) or 'nothing'} of it new"
    )
    rows = {
        "build": f"{plan.name} ({needs.kind}) from {plan.size.checkpoint}, which has no published file of it",
        "download": f"{size_words(needs.download_bytes)}, read as it comes and not stored",
        "disk": f"needs {size_words(needs.file_bytes)}{there}, {size_words(plan.free_disk_bytes) or 'nothing'} is free",
        "memory": f"needs {size_words(needs.memory_bytes)} to build it, {size_words(plan.use_bytes)} to use it;"
        f" this machine has {size_words(plan.machine.total_bytes)}",
        "time": f"the download takes {time_words(plan.download_s)} at 100 Mbit/s, and converting, meanwhile,"
        f" {time_words(needs.compute_s)} on this machine",
        "licence": plan.license + (" (you will be asked)" if plan.needs_consent else ""),
    }
    return [printable(f"{name:8} {words}") for name, words in rows.items()]


def build_json(plan: BuildPlan) -> JsonObject:
    """What building a file takes, for programs."""
    return {
        "name": plan.name,
        "checkpoint": plan.size.checkpoint,
        **asdict(plan.needs),
        "use_bytes": plan.use_bytes,
        "missing_bytes": plan.missing_bytes,
        "free_disk_bytes": plan.free_disk_bytes,
        "download_s": plan.download_s,
        "machine": asdict(plan.machine),
        "license": plan.license,
        "needs_consent": plan.needs_consent,
        "obstacles": list(plan.obstacles()),
    }


def plan_json(plan: PullPlan) -> JsonObject:
    """The plan for programs."""
    remote, memory = plan.remote, plan.memory
    return {
        "name": plan.description.name,
        "repository": remote.repository,
        "path": remote.path,
        "revision": remote.revision,
        "etag": remote.etag,
        "size_bytes": remote.size_bytes,
        "missing_bytes": plan.missing_bytes,
        "free_disk_bytes": plan.free_disk_bytes,
        "context_tokens": plan.context_tokens,
        "memory": {**asdict(memory), "total_bytes": memory.total_bytes} if memory else None,
        "machine": asdict(plan.machine),
        "license": plan.license,
        "needs_consent": plan.needs_consent,
        "obstacles": list(plan.obstacles()),
    }


def pulled_json(pulled: Pulled) -> JsonObject:
    """What was done, for programs."""
    manifest = pulled.manifest
    return {
        "name": manifest.name,
        "repository": manifest.repository,
        "path": manifest.path,
        "revision": manifest.revision,
        "etag": manifest.etag,
        "size_bytes": manifest.size_bytes,
        "license": manifest.license,
        "file": str(pulled.path),
        **asdict(pulled.cost),
    }


def pulled_line(pulled: Pulled) -> str:
    """The end in one line."""
    cost, manifest = pulled.cost, pulled.manifest
    if manifest.converter:
        how = f"built by {manifest.converter}, {size_words(manifest.size_bytes)}"
        return printable(f"{manifest.name} is ready: {how}. `coalm-lite chat` uses it now.")
    how = f"fetched {size_words(cost.fetched_bytes)}" if cost.fetched_bytes else "nothing had to be fetched"
    if cost.resumed_bytes:
        how += f" and kept {size_words(cost.resumed_bytes)} of an earlier pull"
    return printable(f"{manifest.name} is ready: {how}. `coalm-lite chat` uses it now.")
