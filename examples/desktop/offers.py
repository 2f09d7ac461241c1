"""Which models there are to choose from: on this machine, and by name on the Hub. Reads files only; asks no network."""

from __future__ import annotations

from dataclasses import dataclass

from coalm_lite.catalog import PublishedFile, catalog
from coalm_lite.pull.machine import Machine, this_machine
from coalm_lite.pull.memory import usual_memory_need
from coalm_lite.pull.plan import gigabytes
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import LocalModel, local_models
from coalm_lite.store.names import EMBEDDED, named_models


@dataclass(frozen=True, slots=True)
class Offer:
    """A model; `here` when it can be used at once, else it can be pulled. `words` tell its size and whether it fits."""

    name: str
    words: str
    here: bool
    fits: bool = True


def offers() -> list[Offer]:
    """The embedded model, the pulled ones, then what can be pulled."""
    models = local_models(HubCache.of_user())
    machine = this_machine()
    embedded = Offer(EMBEDDED, "part of the app", here=True)
    pulled = [_pulled(model) for model in models if model.present]
    rest = [_published(file, machine) for file in catalog().files.values() if not _is_here(file.name, models)]
    return [embedded, *{offer.name: offer for offer in pulled}.values(), *rest]


def _pulled(model: LocalModel) -> Offer:
    manifest = model.manifest
    return Offer(manifest.name, f"{gigabytes(manifest.size_bytes)}, on this machine", here=True)


def _published(file: PublishedFile, machine: Machine) -> Offer:
    size = catalog().sizes.get(file.size)
    if size is None or not file.approximate_bytes:
        return Offer(file.name, f"on the Hub: {file.repository}", here=False)
    need = usual_memory_need(size, file.approximate_bytes).total_bytes
    fits = need <= machine.total_bytes
    memory = f"needs {gigabytes(need)} of memory" + (
        "" if fits else f", this machine has {gigabytes(machine.total_bytes)}"
    )
    return Offer(file.name, f"{gigabytes(file.approximate_bytes)} to fetch, {memory}", here=False, fits=fits)


def _is_here(name: str, models: tuple[LocalModel, ...]) -> bool:
    return any(model.present for model in named_models(name, models))
