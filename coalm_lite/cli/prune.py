"""`coalm-lite prune`: delete what interrupted pulls left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import may_go_on, print_json, size_words
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.store.prune import PrunePlan
    from coalm_lite.types import JsonObject


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; without --yes, only what would be deleted.")
@verbosity_options
def prune(yes: bool, as_json: bool) -> int:
    """Delete what interrupted pulls left.

    That is unfinished downloads and builds, and records whose file is gone, with its bytes where nothing else in the
    cache leads to them. A download that is running is left, and so is all that other tools brought.
    """
    from coalm_lite.store.cache import HubCache
    from coalm_lite.store.prune import PrunePlan, plan_prune
    from coalm_lite.store.prune import prune as delete

    plans = {cache: plan_prune(cache) for cache in (HubCache.of_user(), HubCache.of_built())}
    plan = PrunePlan.of_all(plans.values())
    if as_json:
        freed_bytes = sum(delete(cache, part) for cache, part in plans.items()) if yes else 0
        print_json(_as_json(plan, freed_bytes))
        return 0
    _print(plan)
    if plan.leftovers:
        size = size_words(plan.freed_bytes) or "no room"
        if not may_go_on(f"deleting these would free {size}", "Delete them?", yes):
            return 1
        freed_bytes = sum(delete(cache, part) for cache, part in plans.items())
        click.echo(f"{size_words(freed_bytes) or 'No room'} freed.")
    return 0


def _print(plan: PrunePlan) -> None:
    for leftover in plan.leftovers:
        size = size_words(leftover.freed_bytes)
        click.echo(printable(f"{leftover.what}{size and f' ({size})'}: {leftover.paths[0]}"))
    if plan.in_use:
        click.echo(f"{plan.in_use} being fetched now, left alone.", err=True)
    if not plan.leftovers:
        click.echo("There is nothing to delete.", err=True)


def _as_json(plan: PrunePlan, freed_bytes: int) -> JsonObject:
    return {
        "leftovers": [
            {
                "what": leftover.what,
                "paths": [str(path) for path in leftover.paths],
                "freed_bytes": leftover.freed_bytes,
            }
            for leftover in plan.leftovers
        ],
        "in_use": plan.in_use,
        "freed_bytes": freed_bytes,
    }
