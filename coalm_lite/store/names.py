"""Which file a name on the command line means: a model of the package, a pulled one, or a path.

Covered: names of the catalogs, `hf:` places, names in our records, paths of GGUF files and ONNX folders, and the model
that is used when none is named. Nothing is fetched; whether a file is a model shows when it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from coalm_lite.catalog import QUANTS, Catalog, ModelSize, PublishedFile, catalog
from coalm_lite.errors import CoalmError, ModelError, StoreError, UsageError
from coalm_lite.hub.places import SCHEME, HubPlace, parse_place
from coalm_lite.models import shipped_model_path
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import read_default
from coalm_lite.store.local import LocalModel, local_models
from coalm_lite.store.manifest import Manifest

EMBEDDED = "nano"
_NEWEST = "main"
_DIALECTS_KEY = "coalm.dialects"
_SERVER_PREFIXES = ("http://", "https://")
_GIGABYTE = 1e9
_SUFFIX = ".gguf"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """The file that a name or path means; `size` is None outside the catalog. `local` is the record of a pulled one."""

    name: str
    path: Path
    size: ModelSize | None = None
    local: LocalModel | None = None

    @property
    def is_shipped(self) -> bool:
        """Whether it is the model inside this package."""
        return self.size is not None and bool(self.size.shipped_file)

    def dialects(self, metadata: Mapping[str, str]) -> tuple[str, ...]:
        """The forms the model was trained on, the usual one first: as its file's metadata says, or else the catalog."""
        listed = tuple(name.strip() for name in metadata.get(_DIALECTS_KEY, "").split(",") if name.strip())
        recorded = self.local.manifest.dialects if self.local else ()
        return listed or recorded or (self.size.dialects if self.size else ())


@dataclass(frozen=True, slots=True)
class DefaultModel:
    """The model that is used when none is named; `note` tells why it is not the one that was chosen, "" if it is."""

    name: str
    note: str = ""


def resolve_model(text: str, cache: HubCache | None = None) -> ModelReference:
    """The model on this machine that `text`, a name or a path, means; `cache` is the user's own when None.

    Raises ModelError for a known model that is not here, UsageError for what is neither a name nor a path.
    """
    known = catalog()
    if text in known.sizes and known.sizes[text].shipped_file:
        return _shipped(known.sizes[text])
    if _is_path(text):
        path = Path(os.path.expanduser(text))  # noqa: PTH111  # an unknown ~user stays
        return ModelReference(path.name or text, path)
    if text.startswith(_SERVER_PREFIXES):
        raise UsageError(f"{text} is a server, and this version runs models on this machine alone", _PATH_HINT)
    pulled = pulled_models(text, cache)[0]
    if not pulled.present:
        raise ModelError(f"{text} was pulled, but {pulled.problem}: {pulled.path}", _pull_hint(text))
    return ModelReference(text, pulled.path, known.sizes.get(pulled.manifest.size), pulled)


def pulled_models(text: str, cache: HubCache | None = None) -> tuple[LocalModel, ...]:
    """The pulled models, at least one, that `text` means; the error of `resolve_model` when there is none.

    UsageError for a path and for a model of this package, neither of which was pulled.
    """
    known = catalog()
    if not is_pulled_name(text):
        raise UsageError(f"{text} was not pulled", "Name a pulled model; `coalm-lite list` shows them.")
    found = named_models(text, local_models(cache or HubCache.of_user()))
    if not found:
        raise _not_here(text, known)
    return found


def is_pulled_name(text: str) -> bool:
    """Whether `text` can name a pulled model: it is neither a path nor a model of this package."""
    size = catalog().sizes.get(text)
    return not (_is_path(text) or (size is not None and size.shipped_file))


def named_models(text: str, models: Sequence[LocalModel]) -> tuple[LocalModel, ...]:
    """Those of the pulled `models` that a name or `hf:` place means, in their order: usable ones before others.

    A name that has been pulled at several revisions means all of them.
    """
    if text.startswith(SCHEME):
        place = parse_place(text)
        found = [model for model in models if _is_at(model.manifest, place)]
    else:
        file = catalog().files.get(text)
        found = [model for model in models if model.manifest.name == text or (file and _is_published(model, file))]
    if len({(model.manifest.repository, model.manifest.path) for model in found}) > 1:
        raise UsageError(f"{text} means several files", f"Name one of {', '.join(model.place for model in found)}.")
    return tuple(sorted(found, key=lambda model: not model.present))


def default_model() -> DefaultModel:
    """The default model; the embedded one when none was chosen or the chosen one is not here."""
    try:
        name = read_default()
        if name is None:
            return DefaultModel(EMBEDDED)
        path = resolve_model(name).path
        if _is_file(path) or is_folder(path):
            return DefaultModel(name)
        problem = f"there is no {path}"
    except (ModelError, StoreError, UsageError) as error:
        problem = error.message
    ways_out = f"{EMBEDDED} answers. `coalm-lite use NAME` chooses another."
    return DefaultModel(EMBEDDED, f"the default model cannot be used: {problem}; {ways_out}")


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for a name that is too long


def is_folder(path: Path) -> bool:
    """Whether the path is a folder, which only an ONNX model is."""
    return os.path.isdir(path)  # noqa: PTH112  # as above


def _shipped(size: ModelSize) -> ModelReference:
    path = shipped_model_path(size.shipped_file)
    if not _is_file(path):
        hint = "Install coalm-lite again, or give the path of a GGUF file."
        raise ModelError(f"the model {size.name} is missing from this installation: there is no {path}", hint)
    return ModelReference(size.name, path, size)


def _is_at(manifest: Manifest, place: HubPlace) -> bool:
    """Whether a record is of the place; the Hub does not tell upper from lower case in repositories' names."""
    from coalm_lite.hub.client import has_quant

    return (
        manifest.repository.lower() == place.repository.lower()
        and place.path in ("", manifest.path)
        and has_quant(manifest.path, place.quant)
        and (place.revision == _NEWEST or manifest.revision.startswith(place.revision))
    )


def _is_published(model: LocalModel, file: PublishedFile) -> bool:
    return (model.manifest.repository, model.manifest.path) == (file.repository, file.path)


def _is_path(text: str) -> bool:
    path = Path(text)
    if text.startswith((SCHEME, *_SERVER_PREFIXES)):
        return False
    is_place = len(path.parts) > 1 or "\\" in text or text.startswith((".", "~")) or text.endswith("/")
    return is_place or path.suffix.lower() == _SUFFIX


_PATH_HINT = "Name a pulled model (`coalm-lite list`), or a GGUF file or ONNX folder by its path, as in ./model.gguf."


def _pull_hint(text: str) -> str:
    return (
        f"`coalm-lite pull {text}` fetches it; a file that you have already is named by its path, as in ./model.gguf."
    )


def _not_here(text: str, known: Catalog) -> CoalmError:
    """The error for a name that no file on this machine has."""
    if text.startswith(SCHEME):
        return ModelError(f"{text} is not on this machine", _pull_hint(text))
    file = known.files.get(text)
    if file is not None:
        size = f", about {file.approximate_bytes / _GIGABYTE:.2f} GB" if file.approximate_bytes else ""
        return ModelError(f"{text} ({file.path} of {file.repository}{size}) is not on this machine", _pull_hint(text))
    return _unpublished(text, known) or _unknown(text, known)


def _unpublished(text: str, known: Catalog) -> CoalmError | None:
    """The error for a size, or a quant of one, that nobody has published."""
    size_name, _, quant = text.partition("-")
    size = known.sizes.get(size_name)
    if size is None or size.shipped_file or (quant and quant not in QUANTS):
        return None
    published = [name for name, file in known.files.items() if file.size == size_name]
    if published and not quant:
        return UsageError(f"{text} has several files", f"Name one of {', '.join(published)}.")
    return ModelError(
        f"nobody has published a quantized file {text}; the checkpoint is {size.checkpoint}",
        f"`coalm-lite pull {size_name}-{quant or 'q4'}` says what building it takes.",
    )


def _unknown(text: str, known: Catalog) -> UsageError:
    close = get_close_matches(text.lower(), known.names, n=3)
    if _is_file(Path(text)):
        hint = f"For a file of this name write ./{text}; it must be a GGUF model."
    elif text and is_folder(Path(text)):
        hint = f"For a folder of this name write ./{text}; it must be an ONNX model that coalm-lite made."
    elif close:
        hint = f"Did you mean {' or '.join(close)}? A file needs its path, such as ./model.gguf."
    else:
        hint = f"Name one of {', '.join(known.names)}, or give the path of a GGUF file."
    return UsageError(f"there is no model called {text!r}", hint)
