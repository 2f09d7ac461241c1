"""`coalm-lite rm`: delete pulled models."""

from __future__ import annotations

import click

from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import may_go_on, size_words
from coalm_lite.cli.wording import printable


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@verbosity_options
def rm(names: tuple[str, ...], yes: bool) -> int:
    """Delete pulled models.

    NAME is a pulled model; one that was pulled at several revisions goes with all of them. Only the file itself goes,
    not what else its repository has in the cache, and its bytes stay as long as another name in the cache leads to
    them. A file that was in the cache before it was pulled is asked about, since other tools may use it.
    """
    from coalm_lite.store.cache import HubCache
    from coalm_lite.store.default import clear_default
    from coalm_lite.store.names import default_model, pulled_models
    from coalm_lite.store.remove import plan_remove, remove

    cache = HubCache.of_user()
    models = {model.path: model for name in names for model in pulled_models(name, cache)}
    plans = [plan_remove(model.cache, model) for model in models.values()]
    theirs = ", ".join(plan.model.manifest.name for plan in plans if plan.needs_consent)
    reason = f"{theirs} was in the cache before coalm-lite pulled it, and other tools may use it"
    if theirs and not may_go_on(reason, "Delete it for all of them?", yes):
        return 1
    before = default_model()
    for plan in plans:
        freed = remove(plan.model.cache, plan.model)
        what = f"{size_words(freed)} freed" if freed else "its bytes stay, another name in the cache leads to them"
        click.echo(printable(f"{plan.model.place}: deleted, {what}"))
    if default_model().note and not before.note:
        clear_default()
        click.echo("chat uses nano now; `coalm-lite use NAME` chooses another.", err=True)
    return 0
