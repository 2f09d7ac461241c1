"""Which models there are by name, and which file a name on the command line means.

`catalog.toml` holds the names; it is read strictly, since a wrong entry would fetch or load the wrong thing. Covered:
names of the catalog and paths of GGUF files. Not here: fetching, what lies in the local cache, a user's own entries.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from coalm_lite.errors import CoalmError, ModelError, UsageError
from coalm_lite.models import shipped_model_path

INSTRUCTIONS = ("full", "short")
QUANTS = ("q2", "q3", "q4", "q5", "q6", "q8", "f16")
_GIGABYTE = 1e9
_SUFFIX = ".gguf"
_OTHER_PLACES = ("hf:", "http://", "https://")
_PATH_HINT = "Give the path of a GGUF file, as in `coalm-lite chat ./{file}`; this version cannot pull models yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One trained model. `instructions="short"`: it was trained on the brief instruction sentences.

    `checkpoint` is its Hugging Face repository, `shipped_file` its file inside this package; "" where there is none.
    """

    name: str
    title: str
    context_tokens: int
    dialects: tuple[str, ...]
    license: str
    instructions: str
    checkpoint: str
    shipped_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One quantized file on the Hub; `name` is what the command line calls it, `size` names its ModelSize."""

    name: str
    size: str
    quant: str
    repository: str
    path: str
    approximate_bytes: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models and published files by name."""

    sizes: Mapping[str, ModelSize]
    files: Mapping[str, PublishedFile]

    @property
    def names(self) -> list[str]:
        """What can be named: shipped models, then published files."""
        return [*(size.name for size in self.sizes.values() if size.shipped_file), *self.files]


@dataclass(frozen=True, slots=True)
class ModelReference:
    """The file that a name or path means; `size` is None for a path. Whether it is a model shows when it is opened."""

    name: str
    path: Path
    size: ModelSize | None = None

    @property
    def is_shipped(self) -> bool:
        """Whether it is the model inside this package."""
        return self.size is not None and bool(self.size.shipped_file)


@cache
def shipped_catalog() -> Catalog:
    """The catalog of this package."""
    return read_catalog(files("coalm_lite").joinpath("catalog.toml").read_text(encoding="utf-8"), "catalog.toml")


def resolve_model(text: str) -> ModelReference:
    """The model that `text`, a name or a path, means.

    Raises ModelError for a known model that is not here, UsageError for what is neither a name nor a path.
    """
    catalog = shipped_catalog()
    if text in catalog.sizes and catalog.sizes[text].shipped_file:
        return _shipped(catalog.sizes[text])
    if text in catalog.files:
        raise _not_here(catalog.files[text])
    if text.startswith(_OTHER_PLACES):
        raise UsageError(f"{text} is not on this machine", _PATH_HINT.format(file=_last_part(text)))
    if _looks_like_a_path(text):
        return ModelReference(Path(text).name, Path(text).expanduser())
    raise _unpublished(text, catalog) or _unknown(text, catalog)


def _shipped(size: ModelSize) -> ModelReference:
    path = shipped_model_path(size.shipped_file)
    if not path.is_file():
        hint = "Install coalm-lite again, or give the path of a GGUF file."
        raise ModelError(f"the model {size.name} is missing from this installation: there is no {path}", hint)
    return ModelReference(size.name, path, size)


def _not_here(file: PublishedFile) -> ModelError:
    gigabytes = file.approximate_bytes / _GIGABYTE
    where = f"{file.path} of {file.repository}, about {gigabytes:.2f} GB"
    return ModelError(f"{file.name} ({where}) is not on this machine", _PATH_HINT.format(file=_last_part(file.path)))


def _last_part(place: str) -> str:
    name = place.rstrip("/").rpartition("/")[2]
    return name if name.endswith(_SUFFIX) else f"model{_SUFFIX}"


def _looks_like_a_path(text: str) -> bool:
    path = Path(text)
    return len(path.parts) > 1 or "\\" in text or text.startswith((".", "~")) or path.suffix.lower() == _SUFFIX


def _unpublished(text: str, catalog: Catalog) -> CoalmError | None:
    """The error for a size, or a quant of one, that nobody has published."""
    size_name, _, quant = text.partition("-")
    size = catalog.sizes.get(size_name)
    if size is None or size.shipped_file or (quant and quant not in QUANTS):
        return None
    published = [name for name, file in catalog.files.items() if file.size == size_name]
    if published and not quant:
        return UsageError(f"{text} has several files", f"Name one of {', '.join(published)}.")
    return ModelError(
        f"nobody has published a quantized file {text}; the checkpoint is {size.checkpoint}",
        _PATH_HINT.format(file=f"{size.title}{_SUFFIX}"),
    )


def _unknown(text: str, catalog: Catalog) -> UsageError:
    close = get_close_matches(text.lower(), catalog.names, n=3)
    if Path(text).is_file():
        hint = f"For a file of this name write ./{text}; it must be a GGUF model."
    elif close:
        hint = f"Did you mean {' or '.join(close)}? A file needs its path, such as ./model.gguf."
    else:
        hint = f"Name one of {', '.join(catalog.names)}, or give the path of a GGUF file."
    return UsageError(f"there is no model called {text!r}", hint)


def read_catalog(text: str, place: str) -> Catalog:
    """The catalog in a TOML text; ModelError names place, entry and key of what is wrong."""
    try:
        top = _Table(tomllib.loads(text), place)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{place} is no TOML: {error}", "Correct the file.") from error
    sizes = {name: _size(name, entry) for name, entry in top.tables("sizes")}
    published = {name: _file(name, entry, sizes) for name, entry in top.tables("files")}
    top.end()
    return Catalog(sizes, published)


def _size(name: str, entry: _Table) -> ModelSize:
    size = ModelSize(
        name=name,
        title=entry.text("title"),
        context_tokens=entry.count("context_tokens"),
        dialects=entry.texts("dialects"),
        license=entry.text("license"),
        instructions=entry.text("instructions", "full"),
        checkpoint=entry.text("checkpoint", ""),
        shipped_file=entry.text("shipped_file", ""),
    )
    entry.end()
    if size.instructions not in INSTRUCTIONS:
        raise entry.refuse("instructions", f"is {size.instructions!r}, not one of {', '.join(INSTRUCTIONS)}")
    if bool(size.checkpoint) == bool(size.shipped_file):
        raise entry.refuse("checkpoint", "give either it or shipped_file")
    return size


def _file(name: str, entry: _Table, sizes: Mapping[str, ModelSize]) -> PublishedFile:
    file = PublishedFile(
        name=name,
        size=entry.text("size"),
        quant=entry.text("quant"),
        repository=entry.text("repository"),
        path=entry.text("path"),
        approximate_bytes=entry.count("approximate_bytes"),
    )
    entry.end()
    if file.size not in sizes:
        raise entry.refuse("size", f"is {file.size!r}, which is none of {', '.join(sizes)}")
    return file


class _Table:
    """A TOML table that is read key by key; `end` refuses what nobody read."""

    def __init__(self, values: object, place: str) -> None:
        self._place = place
        if not isinstance(values, dict):
            raise ModelError(f"{place} is no table", "Correct the entry.")
        self._values: dict[str, object] = dict(values)

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there and not be empty."""
        value = self._values.pop(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.refuse(key, "must be a text" if value is not None else "is missing")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of one text or more."""
        value = self._values.pop(key, None)
        listed = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
        if not isinstance(value, list) or not value or len(listed) < len(value):
            raise self.refuse(key, "must be a list of texts" if value is not None else "is missing")
        return tuple(listed)

    def count(self, key: str) -> int:
        """A whole number, 1 or more."""
        value = self._values.pop(key, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refuse(key, "must be a whole number above 0" if value is not None else "is missing")
        return value

    def tables(self, key: str) -> Iterator[tuple[str, _Table]]:
        """The tables below `key` by name; none when it is not there."""
        place = f"{self._place}: {key}"
        for name, values in _Table(self._values.pop(key, {}), place)._values.items():
            yield name, _Table(values, f"{place}.{name}")

    def end(self) -> None:
        """Refuse a key that was not read."""
        for key in self._values:
            raise self.refuse(key, "is an unknown key")

    def refuse(self, key: str, problem: str) -> ModelError:
        """The error for the value at `key`."""
        return ModelError(f"{self._place}: {key}: {problem}", "Correct the entry.")
