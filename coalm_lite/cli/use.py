"""`coalm-lite use`: choose the model that is used when none is named."""

from __future__ import annotations

import click

from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.wording import printable


@click.command()
@click.argument("model")
@verbosity_options
def use(model: str) -> None:
    """Choose the model that chat uses when none is named.

    MODEL is nano, a pulled model's name, or the path of a GGUF file or ONNX folder. Pulling a
    model chooses it too.
    """
    from coalm_lite.store.default import set_default
    from coalm_lite.store.facts import check_model
    from coalm_lite.store.names import resolve_model

    reference = resolve_model(model)
    check_model(reference.path)
    is_named = reference.size is not None or reference.local is not None
    name = reference.name if is_named else str(reference.path.absolute())
    set_default(name)
    click.echo(f"chat uses {printable(name)} now.")
