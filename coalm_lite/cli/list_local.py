"""`coalm-lite list`: the models on this machine; with --remote, those of `list_remote`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json, print_table, size_words, warn

if TYPE_CHECKING:
    from coalm_lite.store.local import LocalModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What is told of a model on this machine; `place` is its full name on the Hub, "" for the embedded one."""

    name: str
    place: str = ""
    path: str
    size_bytes: int
    quant: str = ""
    license: str
    pulled_at: str = ""
    default: bool
    note: str


@click.command("list")
@click.option("--remote", is_flag=True, help="List what can be pulled by name, and what of it fits this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
def list_models(remote: bool, as_json: bool) -> None:
    """List the models on this machine.

    A star marks the model that chat uses when none is named. Sizes are decimal: 1 GB is 10^9 bytes.
    """
    if remote:
        from coalm_lite.cli.list_remote import print_offers

        print_offers(as_json)
    else:
        _print_local(as_json)


def _print_local(as_json: bool) -> None:
    from coalm_lite.store.cache import HubCache
    from coalm_lite.store.local import read_store
    from coalm_lite.store.names import default_model

    store = read_store(HubCache.of_user())
    chosen = default_model()
    listed = tuple(_listed(store.models, chosen.name))
    if as_json:
        print_json([asdict(model) for model in listed])
    else:
        print_table(("", "NAME", "SIZE", "QUANT", "PULLED", ""), [_row(model) for model in listed])
        if not store.models:
            click.echo("Nothing was pulled yet; `coalm-lite list --remote` shows what can be.", err=True)
    for error in store.damaged:
        warn(error.message, error.hint)
    if chosen.note:
        warn(chosen.note)


def _listed(models: Sequence[LocalModel], default: str) -> Iterator[Listed]:
    """Each pulled model, newest first, then the embedded one."""
    from coalm_lite.store.names import EMBEDDED, resolve_model

    default_path = resolve_model(default).path
    names: set[str] = set()
    for model in models:
        manifest = model.manifest
        older = f"an older pull; `coalm-lite rm {model.place}` deletes it" if manifest.name in names else ""
        names.add(manifest.name)
        yield Listed(
            name=manifest.name,
            place=model.place,
            path=str(model.path),
            size_bytes=manifest.size_bytes,
            quant=manifest.quant,
            license=manifest.license,
            pulled_at=manifest.pulled_at,
            default=model.path == default_path,
            note=model.problem or older,
        )
    embedded = resolve_model(EMBEDDED)
    yield Listed(
        name=embedded.name,
        path=str(embedded.path),
        size_bytes=embedded.path.stat().st_size,
        license=embedded.size.license if embedded.size else "",
        default=embedded.path == default_path,
        note="part of coalm-lite",
    )


def _row(model: Listed) -> Sequence[str]:
    star = "*" if model.default else ""
    return star, model.name, size_words(model.size_bytes), model.quant, model.pulled_at[:10], model.note
