"""`coalm-lite doctor`: what is on this machine, what is wrong with it, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.cli.doctor_checks import Finding


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask the Hub whether it can be reached.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@verbosity_options
def doctor(offline: bool, as_json: bool) -> int:
    """Check this machine and this installation.

    Versions, llama.cpp's build, memory, disk, folders, the Hub, the token (never shown) and the models, and how to mend
    what is wrong. Nothing is changed. Exit code 1 when something is wrong.
    """
    from coalm_lite.cli.doctor_checks import findings

    found = tuple(findings(offline))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            click.echo("\n".join(_lines(finding)))
    return int(any(finding.is_wrong for finding in found))


def _lines(finding: Finding) -> list[str]:
    mark = "WRONG" if finding.is_wrong else "note" if finding.problem else "ok"
    lines = [f"{mark:6} {finding.subject:10} {finding.found}"]
    lines += [f"{'':17} {text}" for text in (finding.problem, finding.hint) if text]
    return [printable(line.rstrip()) for line in lines]
