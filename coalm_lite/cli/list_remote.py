"""`coalm-lite list --remote`: what the catalog knows, and what of it fits this machine. The Hub is not asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import click

from coalm_lite.catalog import Catalog, ModelSize, PublishedFile, catalog
from coalm_lite.cli.output import print_json, print_table, size_words
from coalm_lite.pull.machine import Machine, this_machine
from coalm_lite.pull.memory import usual_memory_need
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import LocalModel, local_models
from coalm_lite.store.names import named_models

Fit: TypeAlias = Literal["yes", "not now", "no", "unknown"]
_FIT_WORDS: dict[Fit, str] = {"yes": "yes", "not now": "when memory is freed", "no": "no", "unknown": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A name that `pull` takes. `size_bytes` is approximate, `memory_bytes` at the usual context; 0 is unknown.

    Without a `path`, nobody has published a file, and the repository is the checkpoint's.
    """

    name: str
    repository: str
    path: str = ""
    quant: str = ""
    size_bytes: int = 0
    memory_bytes: int = 0
    fits: Fit = "unknown"
    license: str = ""
    here: bool = False


def print_offers(as_json: bool) -> None:
    """Print all offers."""
    machine = this_machine()
    offers = tuple(_offers(catalog(), machine, local_models(HubCache.of_user())))
    if as_json:
        print_json([asdict(offer) for offer in offers])
        return
    print_table(("NAME", "SIZE", "QUANT", "MEMORY", "FITS", ""), [_row(offer) for offer in offers])
    memory = f"{size_words(machine.total_bytes)} of memory, {size_words(machine.available_bytes)} of it free"
    click.echo(f"This machine has {memory}. `coalm-lite pull NAME --dry-run` tells more of a model.", err=True)


def _offers(known: Catalog, machine: Machine, models: Sequence[LocalModel]) -> Iterator[Offer]:
    """Each published file, then each size of which there is none."""
    for file in known.files.values():
        here = any(model.present for model in named_models(file.name, models))
        yield _published(file, known.sizes.get(file.size), machine, here)
    with_files = {file.size for file in known.files.values()}
    for size in known.sizes.values():
        if size.name not in with_files and not size.shipped_file:
            yield Offer(name=size.name, repository=size.checkpoint, license=size.license)


def _published(file: PublishedFile, size: ModelSize | None, machine: Machine, here: bool) -> Offer:
    memory_bytes = 0
    if size is not None and file.approximate_bytes:
        memory_bytes = usual_memory_need(size, file.approximate_bytes).total_bytes
    return Offer(
        name=file.name,
        repository=file.repository,
        path=file.path,
        quant=file.quant,
        size_bytes=file.approximate_bytes,
        memory_bytes=memory_bytes,
        fits=_fit(memory_bytes, machine),
        license=size.license if size else "",
        here=here,
    )


def _fit(memory_bytes: int, machine: Machine) -> Fit:
    if not memory_bytes:
        return "unknown"
    if memory_bytes > machine.total_bytes:
        return "no"
    return "yes" if memory_bytes <= machine.available_bytes else "not now"


def _row(offer: Offer) -> Sequence[str]:
    note = "pulled" if offer.here else "" if offer.path else f"not published; {offer.repository} would be converted"
    return (
        offer.name,
        size_words(offer.size_bytes),
        offer.quant,
        size_words(offer.memory_bytes),
        _FIT_WORDS[offer.fits],
        note,
    )
