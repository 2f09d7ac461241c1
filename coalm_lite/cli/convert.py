"""`coalm-lite convert`: a checkpoint, on this machine or on the Hub, to one small GGUF file or an ONNX folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coalm_lite.cli.failures import tell
from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json
from coalm_lite.cli.wording import printable
from coalm_lite.errors import UsageError

if TYPE_CHECKING:
    from coalm_lite.cli.convert_screen import ConvertScreen
    from coalm_lite.converters.recheck import Comparison
    from coalm_lite.converters.writing.quants import Quant

_GGUF_QUANT, _ONNX_QUANT = "q4_k_m", "int4"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the user asked for; None is chosen here."""

    source: str
    form: str
    quant: str | None
    output: Path | None
    imatrix: Path | None
    metadata: tuple[str, ...]
    block: str
    no_verify: bool
    threads: int | None
    dry_run: bool
    force: bool
    offline: bool
    as_json: bool


@click.command()
@click.argument("source")
@click.option("--to", "form", type=click.Choice(["gguf", "onnx"]), default="gguf", show_default=True, help="The form.")
@click.option(
    "--quant",
    metavar="QUANT",
    help=f"How the weights are stored. Default: {_GGUF_QUANT}, or {_ONNX_QUANT} for ONNX.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="The file, or for ONNX the folder, to write. Default: SOURCE's name and QUANT, here.",
)
@click.option(
    "--imatrix",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An importance matrix of `coalm-lite imatrix`, for less loss in few bits.",
)
@click.option(
    "--metadata",
    metavar="KEY=TEXT",
    multiple=True,
    help="A text for the file, as in coalm.dialects=cra,dst or general.name=mine. Can be repeated.",
)
@click.option(
    "--block", type=click.Choice(["32", "128"]), default="32", show_default=True, help="Weights a scale, for ONNX int4."
)
@click.option("--no-verify", is_flag=True, help="Neither measure the loss nor try the result.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. Default: all that are usable.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and what it takes.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@click.option("--offline", is_flag=True, help="Do not ask the Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
@pass_invocation
def convert(invocation: Invocation, /, **given: Any) -> int:  # Any, as click types its values
    """Convert a Llama checkpoint in one pass.

    SOURCE is a Hugging Face folder, hf:owner/repo on the Hub (read as it comes, never stored whole), or a GGUF file of
    16 or 32 bits. QUANT for GGUF: f32 f16 bf16 q8_0 q6_k q5_k_m q5_k_s q4_k_m q4_k_s q4_0 q3_k_l q3_k_m q3_k_s q2_k
    iq4_xs iq4_nl iq3_m, or q8 q6 q5 q4 q3 q2 for short; for ONNX: fp32 fp16 int8 int4.

    The file equals what llama.cpp's converter and llama-quantize make, and tells where it comes from. Then it is tried:
    it makes a tool call, and is compared with the 16-bit model where memory allows; --no-verify leaves that out. Ctrl-C
    leaves nothing behind. What a killed process or a full disk left, OUT.partial, is gone on with by the same command.
    """
    asked = _Asked(**given)
    if asked.form == "onnx":
        return _to_onnx(invocation, asked)
    return _plan(asked) if asked.dry_run else _to_gguf(invocation, asked)


def _to_gguf(invocation: Invocation, asked: _Asked) -> int:
    from coalm_lite.cli.convert_screen import ConvertScreen, conversion_json, conversion_lines
    from coalm_lite.converters.conversion import Recipe, Watch, convert_source
    from coalm_lite.hub.client import HubClient

    quant = _gguf_quant(asked)
    target = _target(asked, f"{_stem(asked.source)}.{quant.upper()}.gguf")
    with ConvertScreen(invocation.verbosity) as screen:
        recipe = Recipe(quant, asked.imatrix, _metadata(asked), not asked.no_verify, asked.threads)
        watch = Watch(screen.progress, screen.stage)
        made = convert_source(asked.source, target, recipe, watch, HubClient(asked.offline, tell=screen.tell))
    if asked.as_json:
        print_json(conversion_json(made))
    else:
        click.echo("\n".join(map(printable, conversion_lines(made))))
    for problem in made.problems:
        tell(printable(f"{target}: {problem}"), "Do not use this file; look at the source.")
    return 1 if made.problems else 0


def _to_onnx(invocation: Invocation, asked: _Asked) -> int:
    from coalm_lite.cli.convert_screen import ConvertScreen, onnx_json, onnx_lines
    from coalm_lite.converters.onnx import OnnxQuant, convert_onnx

    for option, value in (("--imatrix", asked.imatrix), ("--dry-run", asked.dry_run), ("--threads", asked.threads)):
        if value:
            raise UsageError(f"{option} is for GGUF alone", "Leave it out, or convert --to gguf.")
    quant = asked.quant or _ONNX_QUANT
    if quant not in [str(known) for known in OnnxQuant]:
        raise UsageError(f"{quant!r} is no kind of ONNX model", f"Known: {', '.join(OnnxQuant)}.")
    target = _target(asked, f"{_stem(asked.source)}-{quant}-onnx")
    with ConvertScreen(invocation.verbosity) as screen:
        made = convert_onnx(
            Path(asked.source),
            target,
            OnnxQuant(quant),
            block=int(asked.block),
            metadata=_metadata(asked),
            report=screen.stage,
        )
        comparison = None if asked.no_verify else _compared(Path(asked.source), target, screen)
    if asked.as_json:
        print_json(onnx_json(made, comparison))
    else:
        click.echo("\n".join(map(printable, onnx_lines(made, comparison))))
    problem = comparison.problem if comparison else ""
    if problem:
        tell(printable(f"{target}: it made no valid tool call: {problem}"), "Do not use this folder.")
    return 1 if problem else 0


def _compared(source: Path, target: Path, screen: ConvertScreen) -> Comparison:
    """The folder tried and held against the checkpoint; the numbers land in its record."""
    from coalm_lite.converters.recheck import compare_with_source
    from coalm_lite.converters.sources.checkpoint import checkpoint_source
    from coalm_lite.converters.verify import base_of

    return compare_with_source(target, base_of(checkpoint_source(source)), beside=target, report=screen.stage)


def _plan(asked: _Asked) -> int:
    from coalm_lite.cli.convert_screen import plan_json, plan_lines
    from coalm_lite.converters.plan import plan_conversion
    from coalm_lite.hub.client import HubClient

    plan = plan_conversion(
        asked.source,
        _gguf_quant(asked),
        HubClient(asked.offline),
        metadata=_metadata(asked),
        imatrix=asked.imatrix,
        recorded=True,
        threads=asked.threads,
    )
    if asked.as_json:
        print_json(plan_json(plan))
    else:
        click.echo("\n".join(map(printable, plan_lines(plan))))
    return 0


def _gguf_quant(asked: _Asked) -> Quant:
    from coalm_lite.converters.writing.quants import parse_quant

    return parse_quant(asked.quant or _GGUF_QUANT)


def _metadata(asked: _Asked) -> dict[str, str]:
    """What `--metadata` gives, by key; UsageError for what has no key."""
    pairs = [given.partition("=") for given in asked.metadata]
    for given, (key, equals, _) in zip(asked.metadata, pairs, strict=True):
        if not key or not equals:
            raise UsageError(f"--metadata {given!r} is not KEY=TEXT", "Write --metadata coalm.dialects=cra,dst.")
    return {key: text for key, _, text in pairs}


def _target(asked: _Asked, name: str) -> Path:
    """The file or folder to write, which is not there or may be replaced."""
    target = asked.output or Path(name)
    if target.exists() and not asked.force:
        raise UsageError(f"{target} is there already", "Name another with -o, or give --force to replace it.")
    return target


def _stem(source: str) -> str:
    """What the result is named after: the folder's, the file's or the repository's name."""
    name = source.removeprefix("hf:").partition("@")[0] if source.startswith("hf:") else str(Path(source).absolute())
    return Path(name).name.removesuffix(".gguf")
