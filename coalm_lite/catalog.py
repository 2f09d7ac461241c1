"""Which models there are by name: those of this package's `catalog.toml`, and a user's own beside them.

A catalog is read strictly, since a wrong entry would fetch or load the wrong thing. A user's entries stand in
`catalog.toml` of the configuration folder, in the same form; an entry of a name that the package has takes its place.
What a name means on this machine is found in coalm_lite.store.names.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from coalm_lite import paths
from coalm_lite.errors import ModelError

INSTRUCTIONS = ("full", "short")
QUANTS = ("q2", "q3", "q4", "q5", "q6", "q8", "f16")
_FILE_NAME = "catalog.toml"
_NAME = re.compile(r"(?!.*\.gguf$)[A-Za-z0-9][A-Za-z0-9._-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One trained model. `instructions="short"`: it was trained on the brief instruction sentences.

    `checkpoint` is its Hugging Face repository, `shipped_file` its file inside this package; "" where there is none.
    From `parameters` on: how many weights there are, and the shape that decides what memory they need.
    """

    name: str
    title: str
    context_tokens: int
    dialects: tuple[str, ...]
    license: str
    non_commercial: bool
    instructions: str
    checkpoint: str
    shipped_file: str
    parameters: int
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int

    @property
    def head_width(self) -> int:
        """Numbers in a head's key, and in its value."""
        return self.hidden // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file on the Hub; `name` is what the command line calls it, `size` names its ModelSize.

    A user's own entry may leave out what it does not know: `size` and `quant` are "" then, `approximate_bytes` 0.
    """

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


def catalog() -> Catalog:
    """The catalog of this package with the user's own entries; ModelError names the file of a wrong one."""
    shipped, path = shipped_catalog(), user_catalog_path()
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark at the beginning
    except FileNotFoundError:
        return shipped
    except (OSError, UnicodeError) as error:
        raise ModelError(f"the catalog {path} cannot be read: {error}", "Correct or remove the file.") from error
    return read_catalog(text, str(path), shipped)


def user_catalog_path() -> Path:
    """Where a user's own entries stand."""
    return paths.config_dir() / _FILE_NAME


@cache
def shipped_catalog() -> Catalog:
    """The catalog of this package."""
    return read_catalog(files("coalm_lite").joinpath(_FILE_NAME).read_text(encoding="utf-8"), _FILE_NAME)


def read_catalog(text: str, place: str, base: Catalog | None = None) -> Catalog:
    """The catalog in a TOML text; ModelError names place, entry and key of what is wrong.

    With `base`, its entries and these: what this package ships cannot be replaced, and nothing can be added to it.
    """
    try:
        top = _Table(tomllib.loads(text), place)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{place} is no TOML: {error}", "Correct the file.") from error
    known = base or Catalog({}, {})
    sizes = dict(known.sizes)
    for name, entry in top.tables("sizes"):
        sizes[name] = _size(name, entry)
        if base and (sizes[name].shipped_file or name in base.names):
            raise entry.refuse("shipped_file", "only coalm-lite itself has models of this kind")
    published = {**known.files, **{name: _file(name, entry, sizes) for name, entry in top.tables("files")}}
    top.end()
    return Catalog(sizes, published)


def _size(name: str, entry: _Table) -> ModelSize:
    size = ModelSize(
        name=name,
        title=entry.text("title"),
        context_tokens=entry.count("context_tokens"),
        dialects=entry.texts("dialects"),
        license=entry.text("license"),
        non_commercial=entry.flag("non_commercial"),
        instructions=entry.text("instructions", "full"),
        checkpoint=entry.text("checkpoint", ""),
        shipped_file=entry.text("shipped_file", ""),
        parameters=entry.count("parameters"),
        layers=entry.count("layers"),
        hidden=entry.count("hidden"),
        feed_forward=entry.count("feed_forward"),
        heads=entry.count("heads"),
        kv_heads=entry.count("kv_heads"),
        vocabulary=entry.count("vocabulary"),
    )
    entry.end()
    if size.instructions not in INSTRUCTIONS:
        raise entry.refuse("instructions", f"is {size.instructions!r}, not one of {', '.join(INSTRUCTIONS)}")
    if bool(size.checkpoint) == bool(size.shipped_file):
        raise entry.refuse("checkpoint", "give either it or shipped_file")
    for larger, smaller in (("hidden", "heads"), ("heads", "kv_heads")):
        if getattr(size, larger) % getattr(size, smaller):
            raise entry.refuse(larger, f"must be a multiple of {smaller}")
    return size


def _file(name: str, entry: _Table, sizes: Mapping[str, ModelSize]) -> PublishedFile:
    file = PublishedFile(
        name=name,
        size=entry.text("size", ""),
        quant=entry.text("quant", ""),
        repository=entry.text("repository"),
        path=entry.text("path"),
        approximate_bytes=entry.count("approximate_bytes", 0),
    )
    entry.end()
    if name in sizes:
        raise entry.refuse("name", "is that of a size")
    if file.size and file.size not in sizes:
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

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._values.pop(key, None)
        if not isinstance(value, bool):
            raise self.refuse(key, "must be true or false" if value is not None else "is missing")
        return value

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number, 1 or more; without a default it must be there."""
        value = self._values.pop(key, None)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refuse(key, "must be a whole number above 0" if value is not None else "is missing")
        return value

    def tables(self, key: str) -> Iterator[tuple[str, _Table]]:
        """The tables below `key` by name; none when it is not there. A name is one that a command can be given."""
        place = f"{self._place}: {key}"
        for name, values in _Table(self._values.pop(key, {}), place)._values.items():
            entry = _Table(values, f"{place}.{name}")
            if not _NAME.fullmatch(name):
                raise entry.refuse("name", "a name has letters, digits, '.', '_' and '-', and does not end in .gguf")
            yield name, entry

    def end(self) -> None:
        """Refuse a key that was not read."""
        for key in self._values:
            raise self.refuse(key, "is an unknown key")

    def refuse(self, key: str, problem: str) -> ModelError:
        """The error for the value at `key`."""
        return ModelError(f"{self._place}: {key}: {problem}", "Correct the entry.")
