"""`coalm-lite eval`: how well a model does on benchmarks, as a run file that others can be held against."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from coalm_lite import dialects
from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options

_DEFAULT_SUITE = "smoke"
_DEFAULT_TOP = 10
_SUITE_HELP = (
    "What is asked, comma-separated: smoke (shipped), apibank, multiwoz, bfcl, a part of one, as in bfcl:non_live, or"
    " some items of one, as in multiwoz@200."
)
_DATA_HELP = "Where the benchmarks' data lie. Default: where `coalm-lite data fetch` puts them."
_ONE_OR_MORE = click.IntRange(min=1)


@click.command("eval")
@click.argument("model")
@click.option("--suite", default=_DEFAULT_SUITE, show_default=True, metavar="NAME,...", help=_SUITE_HELP)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The run file, JSON Lines.")
@click.option("--data-dir", type=click.Path(path_type=Path), help=_DATA_HELP)
@click.option("--dialect", type=click.Choice(dialects.NAMES), help="The form of prompts. Default: as it was trained.")
@click.option("--no-grammar", is_flag=True, help="Do not hold answers to their form.")
@click.option("--items", type=_ONE_OR_MORE, metavar="N", help="Ask N items of each suite, drawn by strata.")
@click.option(
    "--detect",
    type=click.FloatRange(min=0, min_open=True, max=100),
    metavar="D",
    help="Ask as many items as notice a drop of D points with 80 % power.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Draws the items.")
@click.option("--base", type=click.Path(path_type=Path), help="Hold answers against those of this run, token by token.")
@click.option(
    "--top-logprobs",
    type=click.IntRange(0, 100),
    default=_DEFAULT_TOP,
    show_default=True,
    metavar="K",
    help="Log-probabilities kept a token, for runs with this one as --base.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Answers at once in a process. Default: 8, for a small model 1.",
)
@click.option("--context", type=_ONE_OR_MORE, metavar="N", help="Tokens of the longest prompt with its answer.")
@click.option("--threads", type=_ONE_OR_MORE, metavar="N", help="CPU threads. Default: one a physical core.")
@click.option("--model", "server_model", default="", metavar="NAME", help="Which of a server's models.")
@click.option(
    "--instructions",
    type=click.Choice(["full", "short"]),
    help="How a server's model was trained to be told its task. Default: short for coalm-nano, else full.",
)
@click.option("--chat", is_flag=True, help="Ask a server without text completions; its prompts are not as trained.")
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Spread items over a Ray cluster; without ADDRESS over RAY_ADDRESS's, or one on this machine.",
)
@click.option(
    "--workers",
    type=_ONE_OR_MORE,
    metavar="N",
    help="Processes with a model each. Default: one, for a small model one a core; on a cluster one a node.",
)
@click.option("--force", is_flag=True, help="Begin the run file anew.")
@click.option("--json", "as_json", is_flag=True, help="Print scores and speed as JSON.")
@verbosity_options
@pass_invocation
def evaluate(invocation: Invocation, /, as_json: bool, **given: Any) -> None:  # Any, as click types its values
    """Measure how well a model does on benchmarks.

    MODEL is nano, a pulled model's name, the path of a GGUF file or ONNX folder, or the address of a server
    (https://...). The run file holds what was asked, written and scored; `coalm-lite report` compares such files. A run
    that was stopped goes on when the command is given again.
    """
    from coalm_lite.cli.evaluate_screen import EvalScreen, print_run, run_json
    from coalm_lite.cli.output import print_json
    from coalm_lite.evals.running.evaluation import evaluate

    asked = _asked(given)
    with EvalScreen(invocation.verbosity, asked.output) as screen:
        run, speed = evaluate(asked, tell=screen.tell, report=screen.report)
    if as_json:
        print_json(run_json(run, speed))
    elif invocation.verbosity >= 0:
        print_run(run, speed, invocation.verbosity)


def _asked(given: dict[str, Any]) -> Any:
    """The evaluation that the options describe."""
    from coalm_lite.evals.running.evaluation import Evaluation
    from coalm_lite.evals.running.opening import BackendOptions

    backend = BackendOptions(
        grammar=not given["no_grammar"],
        top_logprobs=given["top_logprobs"],
        parallel=given["parallel"],
        context_tokens=given["context"],
        threads=given["threads"],
        server_model=given["server_model"],
        chat=given["chat"],
        short=None if given["instructions"] is None else given["instructions"] == "short",
    )
    suites = tuple(filter(None, map(str.strip, given["suite"].split(",")))) or (_DEFAULT_SUITE,)
    own = {field.name: given[field.name] for field in fields(Evaluation) if field.name in given}
    return Evaluation(suites=suites, backend=backend, **own)
