"""What `eval` shows: progress with the time left on a terminal, then the scores and where the time went."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from coalm_lite.cli.output import print_table
from coalm_lite.cli.pull_progress import time_words
from coalm_lite.cli.wording import printable
from coalm_lite.evals.items import Share
from coalm_lite.evals.running.scores import scores

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from coalm_lite.evals.run import Run
    from coalm_lite.evals.running.runner import Progress, Speed
    from coalm_lite.types import JsonObject


class EvalScreen:
    """Progress on standard error. A context manager: the bar of a terminal is taken away at the end."""

    def __init__(self, verbosity: int, output: Path) -> None:
        self._quiet = verbosity < 0
        self._output = output
        self._last: Progress | None = None
        self._bar = _bar() if sys.stderr.isatty() and not self._quiet else None
        self._task = self._bar.add_task("", total=None, words="") if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        if isinstance(error, KeyboardInterrupt) and self._last is not None:
            self.tell(
                f"stopped: {self._output} has {self._last.done} of {self._last.of} items;"
                " the same command goes on with it"
            )

    def tell(self, words: str) -> None:
        """Say one thing."""
        if not self._quiet:
            click.echo(printable(words), err=True)

    def report(self, progress: Progress) -> None:
        """Show how far it is."""
        self._last = progress
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=progress.done, total=progress.of, words=progress_words(progress))


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.fields[words]}", markup=False))
    return Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5)


def progress_words(progress: Progress) -> str:
    """`120 of 526 items, 310 tokens/s, 4 min left`."""
    words = f"{progress.done} of {progress.of} items"
    here = progress.done - progress.resumed
    if here > 0 and progress.seconds > 0:
        words += f", {progress.answer_tokens / progress.seconds:.0f} tokens/s"
        words += f", {time_words(progress.seconds / here * (progress.of - progress.done))} left"
    return words


def print_run(run: Run, speed: Speed, verbosity: int) -> None:
    """Print the scores, and what the run took."""
    rows = [
        (score.suite, score.metric.title, f"{100 * score.value:.1f} %", _of_words(score.whole)) for score in scores(run)
    ]
    print_table(("suite", "metric", "score", "of"), rows)
    agreed, tokens, divergence, places = agreement(run)
    if tokens:
        click.echo(
            f"beside the base: {100 * agreed / tokens:.2f} % of {tokens} tokens agree before the first difference,"
            f" KL divergence {divergence / max(1, places):.5f} nats a token (n = {places})"
        )
    if speed.items:
        for line in speed_lines(speed, verbosity):
            click.echo(line, err=True)


def _of_words(whole: Share) -> str:
    return f"{whole.part:g} of {whole.whole:g}"


def agreement(run: Run) -> tuple[int, int, float, int]:
    """Tokens that agreed with the base's, of all of the base's; the sum of divergences and their places."""
    found = [step.agreement for item in run.items for step in item.steps if step.agreement]
    return (
        sum(each.agreed_tokens for each in found),
        sum(each.base_tokens for each in found),
        sum(each.kl_sum for each in found),
        sum(each.kl_places for each in found),
    )


def speed_lines(speed: Speed, verbosity: int) -> list[str]:
    """What the run took, in a line; with -v where the time went."""
    costs = speed.costs
    lines = [
        f"{speed.items} items in {time_words(speed.seconds)}, {speed.items_per_minute:.0f} a minute;"
        f" {100 * speed.shared:.0f} % of {costs.prompt_tokens} prompt tokens were shared"
    ]
    if verbosity > 0:
        parts = {
            "prompts": costs.prompting_s, "prefill": costs.prefill_s, "decoding": costs.decode_s,
            "sampling and grammar": costs.sampling_s, "scoring": speed.scoring_s, "writing": speed.writing_s,
        }  # fmt: skip
        lines.append("time: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items()))
        lines += [f"{name}: {count}" for name, count in costs.counts.items()]
    return lines


def run_json(run: Run, speed: Speed) -> JsonObject:
    """Scores, agreement and speed, for programs."""
    agreed, tokens, divergence, places = agreement(run)
    return {
        "model": asdict(run.header.model),
        "scores": [
            {
                "suite": score.suite, "metric": score.metric.name, "score": score.value,
                "part": score.whole.part, "whole": score.whole.whole,
            }
            for score in scores(run)
        ],
        "agreement": {"agreed_tokens": agreed, "base_tokens": tokens, "kl_sum": divergence, "kl_places": places}
        if tokens
        else None,
        "speed": _speed_json(speed),
    }  # fmt: skip


def _speed_json(speed: Speed) -> JsonObject:
    """What it took; a Counter would be no dictionary any more in `asdict`."""
    costs = {**asdict(replace(speed.costs, counts=Counter())), "counts": dict(speed.costs.counts)}
    return {
        "items": speed.items,
        "seconds": speed.seconds,
        "items_per_minute": speed.items_per_minute,
        "shared": speed.shared,
        "scoring_s": speed.scoring_s,
        "writing_s": speed.writing_s,
        **costs,
    }
