"""`coalm-lite report`: whether quantized models hold what their base can, from run files, with an exit code for CI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_table, warn
from coalm_lite.cli.wording import printable
from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.report.comparison import Comparison, MetricResult

EXIT_CODES = {"holds": 0, "regressed": 3, "undecided": 4}
STANDARD_OUTPUT = "-"
_HEADINGS = ("model", "suite", "metric", "base", "score", "difference", "95 % interval", "p (Holm)", "lost", "won")
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("base", type=_PATH, metavar="BASE.jsonl")
@click.argument("others", type=_PATH, nargs=-1, required=True, metavar="QUANT.jsonl...")
@click.option("--html", metavar="FILE", help="Write the report as one HTML file.")
@click.option("--md", metavar="FILE", help="Write it as Markdown, for a pull request; - prints it.")
@click.option(
    "--json",
    "as_json",
    metavar="[FILE]",
    is_flag=False,
    flag_value=STANDARD_OUTPUT,
    help="Write it as JSON; printed without FILE, or with -.",
)
@click.option(
    "--max-drop",
    type=float,
    default=2.0,
    show_default=True,
    metavar="POINTS",
    help="How many points of 100 a headline metric may lose.",
)
@click.option(
    "--undecided",
    type=click.Choice(["fail", "ok"]),
    default="fail",
    show_default=True,
    help="Whether undecided is exit code 4, or 0.",
)
@click.option(
    "--write-scores",
    "model",
    metavar="MODEL",
    help="Keep the scores of one of the quantized models with it: in our record of a pulled one, or in its own file.",
)
@click.option("-o", "--output", "copy", type=_PATH, metavar="FILE", help="With --write-scores: into a copy instead.")
@verbosity_options
@pass_invocation
def report(
    invocation: Invocation,
    /,
    base: Path,
    others: tuple[Path, ...],
    max_drop: float,
    undecided: str,
    model: str | None,
    copy: Path | None,
    **targets: str | None,
) -> int:
    """Compare runs of quantized models with their base's, item by item.

    BASE.jsonl and QUANT.jsonl are run files of `coalm-lite eval` over the same items. For each headline metric: it
    holds where the 95 % interval of its difference stays above minus --max-drop; else it regressed where "no drop" is
    rejected (paired tests at 5 %, Holm over the metrics); else it is undecided, and you are told how many items more
    would decide. With -v, the other metrics are printed too.

    Exit codes: 0 all hold, 3 one regressed, 4 none regressed and one is undecided; 1 where runs cannot be compared.
    """
    from coalm_lite.cli.report_scores import keep_scores
    from coalm_lite.evals.running.run_file import read_run
    from coalm_lite.report.compare import compare

    _check_targets([base, *others], targets)
    if copy is not None and model is None:
        raise UsageError("-o is for the copy that --write-scores makes", "Use --html, --md or --json for the report.")
    runs = [read_run(path) for path in others]
    comparison = compare(read_run(base), runs, max_drop, [str(path) for path in others])
    kept = [] if model is None else [f"scores, into {keep_scores(comparison, model, copy)}"]
    written = [*_write(comparison, targets), *kept]
    if STANDARD_OUTPUT not in targets.values():
        _print(comparison, everything=invocation.verbosity > 0)
        for path in written:
            click.echo(printable(f"written: {path}"))
    passes = comparison.verdict == "undecided" and undecided == "ok"
    return 0 if passes else EXIT_CODES[comparison.verdict]


def _check_targets(runs: Sequence[Path], targets: dict[str, str | None]) -> None:
    """UsageError for an output that is a run file, as `--json BASE.jsonl QUANT.jsonl` would make it, or named twice."""
    files = [name for name in targets.values() if name and name != STANDARD_OUTPUT]
    for name in files:
        if name.endswith(".jsonl") or Path(name).resolve() in [run.resolve() for run in runs]:
            raise UsageError(
                f"{name} looks like a run file, and would be written over", "Name outputs that do not end in .jsonl."
            )
    if len(set(files)) < len(files) or list(targets.values()).count(STANDARD_OUTPUT) > 1:
        raise UsageError("two outputs have the same name", "Give each of --html, --md and --json its own.")
    if targets["html"] == STANDARD_OUTPUT:
        raise UsageError("--html needs a file's name", "Give --html report.html.")


def _write(comparison: Comparison, targets: dict[str, str | None]) -> Iterator[str]:
    """Write or print what was asked for; all is rendered before anything is written."""
    from coalm_lite.store.files import write_whole

    texts = {name: _renderer(kind)(comparison) for kind, name in targets.items() if name}
    for name, text in texts.items():
        if name == STANDARD_OUTPUT:
            click.echo(text, nl=False)
        else:
            write_whole(Path(name), text)
            yield name


def _renderer(kind: str) -> Callable[[Comparison], str]:
    from coalm_lite.report import as_json, html, markdown

    return {"html": html.render, "md": markdown.render, "as_json": as_json.render}[kind]


def _print(comparison: Comparison, everything: bool) -> None:
    from coalm_lite.report.words import verdict_sentence

    click.echo(printable(f"{comparison.verdict}: {verdict_sentence(comparison)}\n"))
    rows = [
        (run.label, *_cells(metric))
        for run in comparison.runs
        for metric in run.metrics
        if metric.headline or everything
    ]
    print_table((*_HEADINGS, "verdict"), rows)
    for note in comparison.notes:
        warn(note)


def _cells(metric: MetricResult) -> tuple[str, ...]:
    from coalm_lite.report import numbers
    from coalm_lite.report.words import items_still_words

    still = items_still_words(metric)
    return (
        metric.suite,
        metric.title,
        numbers.points(metric.base),
        numbers.points(metric.score),
        numbers.signed(metric.difference),
        f"{numbers.signed(metric.low)} to {numbers.signed(metric.high)}",
        numbers.probability(metric.p_holm).removeprefix("= "),
        str(metric.lost),
        str(metric.won),
        f"{metric.verdict}, {still}" if still else metric.verdict,
    )
