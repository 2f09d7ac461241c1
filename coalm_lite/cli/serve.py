"""`coalm-lite serve`: a model for programs that speak OpenAI's protocol, on this machine."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Any

import click

from coalm_lite import dialects
from coalm_lite.cli.invocation import Invocation, pass_invocation
from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.wording import printable
from coalm_lite.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from coalm_lite.app.server.settings import Access, Limits

KEY_VARIABLE = "COALM_LITE_API_KEY"
_RANDOM_KEY_BYTES = 24
_LEAST_KEY_LETTERS = 16  # of a key that the network may try
_POSITIVE = click.IntRange(min=1)


@click.command()
@click.argument("model", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The port; 0 takes a free one."
)
@click.option(
    "--api-key", metavar="KEY", help=f"The key that clients send. Default: {KEY_VARIABLE}, else a random one, shown."
)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name this server is reached by.")
@click.option(
    "--allow-origin", "origins", multiple=True, metavar="ORIGIN", help="A web page's origin that may ask; * for all."
)
@click.option(
    "--parallel", type=click.IntRange(1, 256), default=4, show_default=True, help="How many answers are made at once."
)
@click.option(
    "--queue",
    type=click.IntRange(0, 1024),
    default=32,
    show_default=True,
    help="How many requests may wait beside them; others get status 429.",
)
@click.option("--max-tokens", type=_POSITIVE, default=1024, show_default=True, help="The longest answer.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest time from a request to the end of its answer.",
)
@click.option(
    "--dialect", type=click.Choice(dialects.NAMES), help="The form of prompts and calls. Default: the model's own."
)
@click.option(
    "--context",
    "context_tokens",
    type=_POSITIVE,
    metavar="N",
    help="Tokens of one conversation. Default: the model's own, at most 4096.",
)
@click.option("--threads", type=_POSITIVE, metavar="N", help="CPU threads. Default: one a physical core.")
@click.option("--gpu-layers", type=click.IntRange(min=-1), metavar="N", help="Layers on the GPU, -1 for all.")
@click.option("--in-process", is_flag=True, help="Run the engine in this process: its crash ends the server.")
@click.option("--json", "as_json", is_flag=True, help="When ready, write one line with url, key and model.")
@verbosity_options
@pass_invocation
def serve(invocation: Invocation, /, model: str | None, in_process: bool, as_json: bool, **given: Any) -> int:
    """Serve a model to programs, in OpenAI's protocol.

    MODEL is nano, the model inside this package, a pulled model's name, or the path of a GGUF file or ONNX folder.
    Without it, it is the model pulled last or chosen with `coalm-lite use`, else nano.

    Clients need the key. Only this machine is served, unless --host says otherwise. Ctrl-C lets answers in work end,
    for ten seconds at most; a second one ends the server at once.

    Exit code 0 after SIGTERM, 130 after Ctrl-C.
    """
    _check_extra()
    from coalm_lite.app.server.serving import Serving
    from coalm_lite.store.names import resolve_model

    access = _access(given)
    serving = Serving(
        reference=resolve_model(model or _default_model()),
        access=access,
        limits=_limits(given),
        isolate=not in_process,
        **{name: given[name] for name in ("port", "dialect", "context_tokens", "threads", "gpu_layers")},
    )

    def ready(address: str) -> None:
        if as_json:
            told = {"url": f"{address}/v1", "key": access.key, "model": serving.reference.name}
            click.echo(json.dumps(told, ensure_ascii=False))
        else:
            _tell(address, access, serving.reference.name, given["api_key"], invocation.verbosity)

    return serving.run(ready)


def _default_model() -> str:
    """The name of the model to use, after it was said why it is not the chosen one."""
    from coalm_lite.store.names import default_model

    chosen = default_model()
    if chosen.note:
        click.echo(printable(chosen.note), err=True)
    return chosen.name


def _tell(address: str, access: Access, model: str, key: str | None, verbosity: int) -> None:
    """Say where the server is, and its key if nobody else knows it."""
    from coalm_lite.app.server.settings import is_loopback

    click.echo(f"{printable(model)} at {address}/v1")
    if key is None and not os.environ.get(KEY_VARIABLE, "").strip():
        click.echo(f"key {access.key}")
    if verbosity >= 0:
        if not is_loopback(access.host):
            click.echo("Others than this machine reach it, over plain HTTP: who listens reads the key.", err=True)
        click.echo("Ctrl-C ends it.", err=True)


def _check_extra() -> None:
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        name = error.name or "starlette"
        raise MissingExtraError(
            f"serve needs the package {name}", "Install it: pip install 'coalm-lite[serve]'."
        ) from error
    del starlette, uvicorn


def _access(given: dict[str, Any]) -> Access:
    from coalm_lite.app.server.settings import Access, is_loopback

    told = given["api_key"]
    if told is None:
        told = os.environ.get(KEY_VARIABLE, "").strip() or secrets.token_urlsafe(_RANDOM_KEY_BYTES)
    if not told or any(not "!" <= letter <= "~" for letter in told):
        raise UsageError("the key is empty or has a character that no key has", "Use letters, digits, - and _.")
    if not is_loopback(given["host"]) and len(told) < _LEAST_KEY_LETTERS:
        problem = f"the key has {len(told)} characters, and others than this machine may try it on {given['host']}"
        raise UsageError(problem, f"Use at least {_LEAST_KEY_LETTERS}, or leave it out for a random one.")
    return Access(key=told, host=given["host"], hosts=given["hosts"], origins=given["origins"])


def _limits(given: dict[str, Any]) -> Limits:
    from coalm_lite.app.server.settings import Limits

    return Limits(**{name: given[name] for name in ("parallel", "queue", "max_tokens", "timeout_s")})
