"""What a name given to `pull` means: a file of the catalogs, a place on the Hub, or something that cannot be pulled."""

from __future__ import annotations

from dataclasses import dataclass

from coalm_lite.catalog import QUANTS, Catalog, ModelSize, PublishedFile, catalog
from coalm_lite.errors import ModelError, UsageError
from coalm_lite.hub.places import SCHEME, HubPlace, parse_place
from coalm_lite.hub.remote import RemoteFile
from coalm_lite.store.names import resolve_model

_DEFAULT_QUANT = "q4"


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a file beside the Hub's metadata: its name here, its size in the catalog, its quant."""

    name: str
    size: ModelSize | None
    quant: str


class NotPublishedError(ModelError):
    """Nobody has published this quant of the size; it can be built from the size's checkpoint."""

    def __init__(self, size: ModelSize, quant: str) -> None:
        self.name = f"{size.name}-{quant}"
        self.size = size
        self.quant = quant
        super().__init__(
            f"nobody has published {self.name}, but it can be built from {size.checkpoint}",
            f"`coalm-lite pull {self.name} --build` does that.",
        )


def wanted_place(text: str) -> HubPlace:
    """Where on the Hub the model `text` lies.

    Raises NotPublishedError for a quant of the catalog's sizes that has no file, and for what cannot be pulled the
    error that all commands give.
    """
    known = catalog()
    file = known.files.get(text)
    if file is not None:
        return HubPlace(file.repository, file.path)
    if text.startswith(SCHEME):
        return parse_place(text)
    _refuse_unpublished(text, known)
    found = resolve_model(text)
    what = "is part of coalm-lite" if found.is_shipped else "is the path of a file"
    hint = "`pull` takes a name of `coalm-lite list --remote` or a place on the Hub, as in hf:owner/repo:Q4_K_M."
    raise UsageError(f"{text} {what}, so there is nothing to pull", hint)


def describe(place: HubPlace, remote: RemoteFile) -> Description:
    """What the catalogs know of the file, and the place where they know nothing."""
    known = catalog()
    found = (file for file in known.files.values() if _same(file, remote))
    file = next(found, None)
    if file is None:
        return Description(f"{SCHEME}{remote.repository}/{remote.path}", None, place.quant)
    return Description(file.name, known.sizes.get(file.size), file.quant or place.quant)


def _same(file: PublishedFile, remote: RemoteFile) -> bool:
    return (file.repository.lower(), file.path) == (remote.repository.lower(), remote.path)


def _refuse_unpublished(text: str, known: Catalog) -> None:
    """Raise NotPublishedError for a size without any file, or a quant of one that has none."""
    name, _, quant = text.partition("-")
    size = known.sizes.get(name)
    if size is None or not size.checkpoint or (quant and quant not in QUANTS):
        return
    if quant or not any(file.size == name for file in known.files.values()):
        raise NotPublishedError(size, quant or _DEFAULT_QUANT)
