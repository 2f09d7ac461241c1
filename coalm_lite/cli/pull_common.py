"""What `coalm-lite pull` of a file and of a build have in common: options, the licence's question, and the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.output import print_json
from coalm_lite.cli.wording import printable
from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.pull.build import BuildPlan
    from coalm_lite.pull.fetch import Pulled
    from coalm_lite.pull.plan import PullPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """What the user asked for."""

    model: str
    dry_run: bool
    force: bool
    accept_license: bool
    wants_build: bool
    context_tokens: int | None
    offline: bool
    as_json: bool


def use_recorded(pulled: Pulled, asked: PullOptions) -> int:
    """Take a model as it was pulled or built before."""
    from coalm_lite.store.default import set_default

    if asked.dry_run:
        how = "built" if pulled.manifest.converter else "pulled"
        click.echo(printable(f"{pulled.manifest.name} is here as it was {how} at {pulled.manifest.pulled_at}"))
    else:
        set_default(pulled.manifest.name)
        print_pulled(pulled, asked.as_json)
    return 0


def agree(plan: PullPlan | BuildPlan, accept_license: bool) -> None:
    """Have the licence accepted where that is needed; UsageError when nobody can be asked."""
    from coalm_lite.pull.licenses import accept
    from coalm_lite.pull.plan import PullRefusedError

    if not plan.needs_consent:
        return
    if not accept_license:
        if not sys.stdin.isatty():
            raise UsageError(
                f"the licence allows no commercial use and must be accepted first: {printable(plan.license)}",
                "Read it, then run this again with --accept-license; that is asked once.",
            )
        click.echo(printable(f"The licence allows no commercial use: {plan.license}"), err=True)
        if not click.confirm("Do you accept it?", err=True):
            raise PullRefusedError("the licence was not accepted, so nothing was fetched")
    accept(plan.license)


def print_pulled(pulled: Pulled, as_json: bool) -> None:
    """Print the end, as data or in one line."""
    from coalm_lite.cli.pull_progress import pulled_json, pulled_line

    if as_json:
        print_json(pulled_json(pulled))
    else:
        click.echo(pulled_line(pulled))
