"""`coalm-lite bench`: how fast a model is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.wording import printable

if TYPE_CHECKING:
    from coalm_lite.decoding.measure import Figure, Speed

_HOTEL = "A cheap hotel in the north with parking, please, for two people and three nights from Friday. "


@click.command()
@click.argument("model")
@click.option("--prompt-tokens", type=click.IntRange(2), default=256, show_default=True, help="Tokens of the prompt.")
@click.option("--tokens", type=click.IntRange(2), default=48, show_default=True, help="Tokens of the answer.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Measurements of each figure.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. Default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON object alone.")
@verbosity_options
@pass_invocation
def bench(
    invocation: Invocation, model: str, prompt_tokens: int, tokens: int, rounds: int, threads: int | None, as_json: bool
) -> None:
    """Measure how fast a model is on this machine.

    MODEL is nano, a pulled model's name, or the path of a GGUF file or ONNX folder. Figures are medians, with the
    lowest and highest; the last line is one JSON object.
    """
    import json

    from coalm_lite.decoding.measure import measure
    from coalm_lite.store.names import resolve_model
    from coalm_lite.types import Segment

    reference = resolve_model(model)
    with invocation.open_engine(reference.path, context_tokens=None, threads=threads, gpu_layers=None) as engine:
        prompt = engine.tokenize((Segment(_HOTEL * (prompt_tokens // 8 + 1)),))[:prompt_tokens]
        speed = measure(engine, prompt, tokens, rounds)
    if not as_json:
        _print(speed, reference.path)
    click.echo(json.dumps({"model": reference.path.name, "threads": threads, **asdict(speed)}))


def _print(speed: Speed, path: Path) -> None:
    click.echo(f"{printable(path.name)}: {speed.prompt_tokens} tokens of prompt, {speed.answer_tokens} of answer")
    rows: tuple[tuple[str, Figure, float, str], ...] = (
        ("time to first token", speed.ttft_s, 1000, "ms"),
        ("prefill", speed.prefill_tokens_per_s, 1, "tokens/s"),
        ("decoding", speed.decode_tokens_per_s, 1, "tokens/s"),
        ("a grammar adds", speed.constrained_overhead, 100, "% to a free token"),
    )
    for name, figure, factor, unit in rows:
        low, middle, high = (f"{value * factor:.1f}" for value in (figure.low, figure.median, figure.high))
        click.echo(f"{name:<20} {middle:>8} {unit} ({low} to {high}, n = {figure.n})")
