"""`coalm-lite pull`: fetch a model from the Hub into the shared cache, after saying what that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coalm_lite.cli.failures import INTERRUPTED
from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json, size_words, warn
from coalm_lite.cli.pull_common import PullOptions, agree, print_pulled, use_recorded
from coalm_lite.errors import HubError

if TYPE_CHECKING:
    from coalm_lite.cli.pull_progress import PullScreen
    from coalm_lite.hub.client import HubClient
    from coalm_lite.pull.plan import PullPlan
    from coalm_lite.store.cache import HubCache


@click.command()
@click.argument("model")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Pull also what fits neither this disk nor this memory.")
@click.option("--accept-license", is_flag=True, help="Accept a licence that allows no commercial use, for scripts.")
@click.option("--build", "wants_build", is_flag=True, help="Build what nobody has published, without asking.")
@click.option(
    "--context",
    "context_tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tokens of context that the memory is told for. Default: the model's own, at most 4096.",
)
@click.option("--offline", is_flag=True, help="Do not ask the Hub: use what is on this machine, or fail.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done, or would be, as JSON.")
@verbosity_options
@pass_invocation
def pull(invocation: Invocation, /, **given: Any) -> int:  # Any, as click types its values
    """Fetch a model from the Hugging Face Hub.

    MODEL is a name of `coalm-lite list --remote`, such as 8b-q4, or any GGUF file on the Hub: hf:owner/repo/file.gguf
    or hf:owner/repo:Q4_K_M, with @revision after the repository if need be. Size, disk, memory and licence are shown
    before the first byte. A pull that was stopped goes on where it was when it is run again. The file lies in the
    Hugging Face cache, where other tools find it too, and becomes the model that chat uses.

    A quant of a size that nobody has published, such as 70b-q4, is built from the size's checkpoint, which is read as
    it comes and never stored: what that takes is shown first, and you are asked. Such a file lies in the data folder.

    HF_TOKEN or `hf auth login` give access to gated models, HF_ENDPOINT names another Hub, HF_HOME another cache.
    """
    from coalm_lite.cli.pull_progress import PullScreen, plan_lines
    from coalm_lite.hub.client import HubClient
    from coalm_lite.hub.refusals import offline_reason
    from coalm_lite.pull.fetch import recorded
    from coalm_lite.pull.plan import plan_pull
    from coalm_lite.pull.wanted import NotPublishedError
    from coalm_lite.store.cache import HubCache

    asked = PullOptions(**given)
    screen = PullScreen(invocation.verbosity)
    client, cache = HubClient(asked.offline, tell=screen.tell), HubCache.of_user()
    try:
        plan = plan_pull(asked.model, client, cache, asked.context_tokens)
    except HubError as error:
        pulled = recorded(asked.model, cache)
        if pulled is None:
            raise
        reason = "--offline" if asked.offline else offline_reason()
        warn(f"the Hub was not asked because of {reason}" if reason else error.message)
        return use_recorded(pulled, asked)
    except NotPublishedError as error:
        from coalm_lite.cli.pull_build import offer_build

        return offer_build(error, client, screen, asked)
    if asked.dry_run:
        return _print_plan(plan, asked)
    screen.show(plan_lines(plan))
    if not asked.force:
        plan.check()
    agree(plan, asked.accept_license)
    return _fetch(plan, client, cache, screen, asked.as_json)


def _print_plan(plan: PullPlan, asked: PullOptions) -> int:
    """Print the plan as data; the exit code says whether a pull would begin."""
    from coalm_lite.cli.pull_progress import plan_json, plan_lines

    if asked.as_json:
        print_json(plan_json(plan))
    else:
        click.echo("\n".join(plan_lines(plan)))
    if not asked.force:
        plan.check()
    return 0


def _fetch(plan: PullPlan, client: HubClient, cache: HubCache, screen: PullScreen, as_json: bool) -> int:
    from coalm_lite.pull.fetch import fetch
    from coalm_lite.pull.presence import partial_bytes

    try:
        with screen:
            pulled = fetch(plan, client, cache, screen.report, screen.tell)
    except KeyboardInterrupt:
        kept = size_words(partial_bytes(cache, plan.remote)) or "nothing"
        click.echo(f"stopped: {kept} of {size_words(plan.remote.size_bytes)} kept; run it again to go on", err=True)
        return INTERRUPTED
    print_pulled(pulled, as_json)
    return 0
