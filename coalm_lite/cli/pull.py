"""`coalm-lite pull`: fetch a model from the Hub into the shared cache, after saying what that takes."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.failures import INTERRUPTED
from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json, size_words, warn
from coalm_lite.cli.wording import printable
from coalm_lite.errors import HubError, UsageError

if TYPE_CHECKING:
    from coalm_lite.cli.pull_progress import PullScreen
    from coalm_lite.hub.client import HubClient
    from coalm_lite.pull.build import BuildEstimate
    from coalm_lite.pull.fetch import Pulled
    from coalm_lite.pull.plan import PullPlan
    from coalm_lite.store.cache import HubCache


@click.command()
@click.argument("model")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Pull also what fits neither this disk nor this memory.")
@click.option("--accept-license", is_flag=True, help="Accept a licence that allows no commercial use, for scripts.")
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
def pull(
    invocation: Invocation,
    /,
    model: str,
    dry_run: bool,
    force: bool,
    accept_license: bool,
    context_tokens: int | None,
    offline: bool,
    as_json: bool,
) -> int:
    """Fetch a model from the Hugging Face Hub.

    MODEL is a name of `coalm-lite list --remote`, such as 8b-q4, or any GGUF file on the Hub: hf:owner/repo/file.gguf
    or hf:owner/repo:Q4_K_M, with @revision after the repository if need be. Size, disk, memory and licence are shown
    before the first byte. A pull that was stopped goes on where it was when it is run again. The file lies in the
    Hugging Face cache, where other tools find it too, and becomes the model that chat uses.

    HF_TOKEN or `hf auth login` give access to gated models, HF_ENDPOINT names another Hub, HF_HOME another cache.
    """
    from coalm_lite.cli.pull_progress import PullScreen
    from coalm_lite.hub.client import HubClient
    from coalm_lite.hub.refusals import offline_reason
    from coalm_lite.pull.build import NotPublishedError
    from coalm_lite.pull.fetch import recorded
    from coalm_lite.pull.plan import plan_pull
    from coalm_lite.store.cache import HubCache

    screen = PullScreen(invocation.verbosity)
    client, cache = HubClient(offline, tell=screen.tell), HubCache.of_user()
    try:
        plan = plan_pull(model, client, cache, context_tokens)
    except HubError as error:
        pulled = recorded(model, cache)
        if pulled is None:
            raise
        reason = "--offline" if offline else offline_reason()
        warn(f"the Hub was not asked because of {reason}" if reason else error.message)
        return _use(pulled, as_json, dry_run)
    except NotPublishedError as error:
        _print_estimate(error.estimate, as_json)
        raise
    if dry_run:
        return _print_plan(plan, as_json, force)
    screen.show(plan)
    if not force:
        plan.check()
    _agree(plan, accept_license)
    return _fetch(plan, client, cache, screen, as_json)


def _use(pulled: Pulled, as_json: bool, dry_run: bool) -> int:
    """Take a model as it was pulled before."""
    from coalm_lite.store.default import set_default

    if dry_run:
        click.echo(printable(f"{pulled.manifest.name} is here as it was pulled at {pulled.manifest.pulled_at}"))
    else:
        set_default(pulled.manifest.name)
        _print_pulled(pulled, as_json)
    return 0


def _print_estimate(estimate: BuildEstimate, as_json: bool) -> None:
    """Print what building takes, as data."""
    from coalm_lite.cli.pull_progress import estimate_lines

    if as_json:
        print_json({"build": asdict(estimate)})
    else:
        click.echo("\n".join(estimate_lines(estimate)))


def _print_plan(plan: PullPlan, as_json: bool, force: bool) -> int:
    """Print the plan as data; the exit code says whether a pull would begin."""
    from coalm_lite.cli.pull_progress import plan_json, plan_lines

    if as_json:
        print_json(plan_json(plan))
    else:
        click.echo("\n".join(plan_lines(plan)))
    if not force:
        plan.check()
    return 0


def _agree(plan: PullPlan, accept_license: bool) -> None:
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
    _print_pulled(pulled, as_json)
    return 0


def _print_pulled(pulled: Pulled, as_json: bool) -> None:
    from coalm_lite.cli.pull_progress import pulled_json, pulled_line

    if as_json:
        print_json(pulled_json(pulled))
    else:
        click.echo(pulled_line(pulled))
