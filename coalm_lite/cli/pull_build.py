"""`coalm-lite pull` of what nobody has published: what building it takes, the question, and the building.

The only place that hands the converter to coalm_lite.pull.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.failures import INTERRUPTED
from coalm_lite.cli.output import print_json, size_words
from coalm_lite.cli.pull_common import PullOptions, agree, print_pulled, use_recorded
from coalm_lite.cli.pull_progress import PullScreen, build_json, build_lines
from coalm_lite.errors import HubError
from coalm_lite.pull.build import BuildNeeds, BuildPlan, build, made_bytes, plan_build
from coalm_lite.pull.fetch import recorded
from coalm_lite.pull.plan import PullRefusedError
from coalm_lite.pull.wanted import NotPublishedError
from coalm_lite.store.cache import HubCache

if TYPE_CHECKING:
    from coalm_lite.catalog import ModelSize
    from coalm_lite.converters.sources.hf_config import LlamaConfig
    from coalm_lite.hub.client import HubClient


class ConverterBuilder:
    """The converter, as coalm_lite.pull.build wants it; the screen shows how far it is."""

    def __init__(self, screen: PullScreen) -> None:
        self._screen = screen

    def needs(self, size: ModelSize, quant: str) -> BuildNeeds:
        """What building takes: sizes to the byte except for the vocabulary, time as measured in a second here."""
        from coalm_lite.converters.plan import plan_sizes
        from coalm_lite.converters.writing.quants import parse_quant

        kind = parse_quant(quant)
        plan = plan_sizes(size.checkpoint, _config(size), kind)
        return BuildNeeds(kind.upper(), plan.read_bytes, plan.size_bytes, plan.memory_bytes, plan.compute_s or 0.0)

    def make(self, place: str, quant: str, target: Path, client: HubClient) -> Sequence[str]:
        """Convert and try; what was made before Ctrl-C or a network's failure stays."""
        from coalm_lite.converters.conversion import Recipe, Watch, convert_source
        from coalm_lite.converters.writing.quants import parse_quant

        watch = Watch(self._screen.report, self._screen.stage, kept_after=(KeyboardInterrupt, HubError))
        return convert_source(place, target, Recipe(parse_quant(quant)), watch, client).problems


def offer_build(wanted: NotPublishedError, client: HubClient, screen: PullScreen, asked: PullOptions) -> int:
    """Say what building takes, and build it when the user agrees; the exit code.

    Raises the error that it is not published when nobody agreed and nobody can be asked.
    """
    store, builder = HubCache.of_built(), ConverterBuilder(screen)
    here = recorded(wanted.name, store)
    if here is not None:
        return use_recorded(here, asked)
    plan = plan_build(wanted, builder, store)
    can_ask = sys.stdin.isatty()
    if asked.dry_run or not (asked.wants_build or can_ask):
        _print_plan(plan, asked.as_json)
        if not asked.dry_run:
            raise wanted
        if not asked.force:
            plan.check()
        return 0
    screen.show(build_lines(plan))
    if not asked.force:
        plan.check()
    agree(plan, asked.accept_license)
    if not asked.wants_build and not click.confirm("Build it now?", err=True):
        raise PullRefusedError("nothing was built")
    return _build(plan, builder, client, screen, asked.as_json)


def _build(plan: BuildPlan, builder: ConverterBuilder, client: HubClient, screen: PullScreen, as_json: bool) -> int:
    store = HubCache.of_built()
    try:
        with screen:
            built = build(plan, builder, client, store, screen.report, screen.tell)
    except KeyboardInterrupt:
        kept = size_words(made_bytes(plan, store)) or "nothing"
        click.echo(f"stopped: {kept} of {size_words(plan.needs.file_bytes)} kept; run it again to go on", err=True)
        return INTERRUPTED
    print_pulled(built, as_json)
    return 0


def _print_plan(plan: BuildPlan, as_json: bool) -> None:
    if as_json:
        print_json({"build": build_json(plan)})
    else:
        click.echo("\n".join(build_lines(plan)))


def _config(size: ModelSize) -> LlamaConfig:
    """The sizes of the catalog as a checkpoint's config.json would tell them."""
    from coalm_lite.converters.sources.hf_config import LlamaConfig

    return LlamaConfig(
        layers=size.layers,
        context_tokens=size.context_tokens,
        hidden=size.hidden,
        feed_forward=size.feed_forward,
        heads=size.heads,
        kv_heads=size.kv_heads,
        head_dim=size.head_width,
        vocab_size=size.vocabulary,
        rms_eps=1e-5,
        rope_theta=1e4,
        rope=None,
        tied=False,
    )
