"""An ONNX model as a folder: `coalm.json` says what is in it, and every name and size is checked before use.

The folder, written by converters/onnx.py: `model.onnx` with weights beside it where they pass 2 GB, the vocabulary and
chat template as `vocabulary.gguf` (a GGUF without tensors), the checkpoint's tokenizer files, and `coalm.json`:

    {"format": 1, "quant": "int4", "recipe": "...", "parameters": 123, "versions": {...}, "provenance": {...},
     "files": [{"name": "model.onnx", "size_bytes": 1, "sha256": "..."}, ...]}

Anybody can write such a file: names must be those of files in this folder, every number is bounded. Not covered:
folders without the record, as other exporters write them, and the files' hashes (`changed_files` is for that).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from coalm_lite.errors import ModelError
from coalm_lite.types import JsonObject, JsonValue

RECORD_NAME = "coalm.json"
MODEL_NAME = "model.onnx"
VOCABULARY_NAME = "vocabulary.gguf"
FORMAT = 1
_MAX_RECORD_BYTES = 4 << 20
_MOST_BYTES = 1 << 50
_CHUNK_BYTES = 1 << 20
_PLAIN_NAME = re.compile(r"[^/\\:\x00-\x1f]{1,255}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAMAGED_HINT = "The folder is damaged or incomplete: copy it again, or convert the checkpoint again."
_FOLDER_HINT = "An ONNX folder is made by `coalm-lite convert CHECKPOINT --to onnx`; a GGUF model is named by its file."


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file of the folder as the record lists it."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class OnnxFolder:
    """A folder whose record was read and whose files are all there, each as long as the record says."""

    path: Path
    quant: str
    recipe: str
    parameters: int
    versions: Mapping[str, str]
    provenance: JsonObject
    files: tuple[FolderFile, ...]

    @property
    def model(self) -> Path:
        """The graph."""
        return self.path / MODEL_NAME

    @property
    def vocabulary(self) -> Path:
        """The vocabulary, a GGUF without tensors."""
        return self.path / VOCABULARY_NAME

    @property
    def size_bytes(self) -> int:
        """All files of the record together."""
        return sum(file.size_bytes for file in self.files)


def read_onnx_folder(path: Path) -> OnnxFolder:
    """The model in the folder `path`; ModelError, naming file and key, where something is missing or wrong."""
    values = _record(path)
    files = tuple(_file(entry, path) for entry in _list(values.get("files"), path))
    if len({file.name for file in files}) < len(files):
        raise _wrong(path, "files", "names a file twice")
    for name in (MODEL_NAME, VOCABULARY_NAME):
        if name not in {file.name for file in files}:
            raise _wrong(path, "files", f"does not list {name}")
    for file in files:
        _check_size(path / file.name, file.size_bytes)
    return OnnxFolder(
        path=path,
        quant=_text(values, "quant", path),
        recipe=_text(values, "recipe", path),
        parameters=_count(values.get("parameters"), "parameters", path),
        versions=_texts(values.get("versions"), path),
        provenance=_object(values.get("provenance", {}), "provenance", path),
        files=files,
    )


def changed_files(folder: OnnxFolder, report: Callable[[int], None] = lambda _bytes: None) -> Iterator[str]:
    """The names of files whose bytes are not those of the record; `report` gets how many bytes were read each time."""
    for file in folder.files:
        if hash_of_file(folder.path / file.name, report) != file.sha256:
            yield file.name


def hash_of_file(path: Path, report: Callable[[int], None] = lambda _bytes: None) -> str:
    """The SHA-256 of a file's bytes; ModelError when it cannot be read."""
    digest = sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                report(len(chunk))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "Check the path and its permissions.") from error
    return digest.hexdigest()


def _record(path: Path) -> JsonObject:
    place = path / RECORD_NAME
    try:
        if not path.is_dir():
            raise ModelError(f"there is no folder {path}", "Check the path and its spelling.")
        if not place.is_file():
            raise ModelError(f"{path} is no ONNX model: there is no {RECORD_NAME} in it", _FOLDER_HINT)
        with place.open("rb") as file:
            data = file.read(_MAX_RECORD_BYTES + 1)
        values: JsonValue = json.loads(data[:_MAX_RECORD_BYTES])
    except OSError as error:
        raise ModelError(f"{place} cannot be read: {error.strerror}", "Check the path and its permissions.") from error
    except (ValueError, RecursionError) as error:  # no JSON, longer than it may be, a NUL in the path
        raise ModelError(f"{place} is no JSON: {error}", _DAMAGED_HINT) from error
    record = _object(values, "the record", path)
    if record.get("format") != FORMAT:
        hint = f"This version reads format {FORMAT}. A newer coalm-lite may have written it; update to read it."
        raise ModelError(f"{place}: format is {record.get('format')!r:.80}", hint)
    return record


def _file(entry: JsonValue, path: Path) -> FolderFile:
    values = _object(entry, "files", path)
    name, digest = values.get("name"), values.get("sha256")
    # a name with a folder in it would read, and let `verify` hash, files elsewhere
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name) or name in (".", "..", RECORD_NAME):
        raise _wrong(path, "files", f"{name!r:.80} is not the name of a file in the folder")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise _wrong(path, "files", f"{name}: sha256 is {digest!r:.80}")
    return FolderFile(name, _count(values.get("size_bytes"), f"files: {name}: size_bytes", path), digest)


def _check_size(path: Path, expected: int) -> None:
    try:
        found = path.stat().st_size if path.is_file() else -1
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", "Check the path and its permissions.") from error
    if found < 0:
        raise ModelError(f"{path} is missing", _DAMAGED_HINT)
    if found != expected:
        raise ModelError(f"{path} has {found} bytes, and {expected} were written", _DAMAGED_HINT)


def _list(value: JsonValue, path: Path) -> list[JsonValue]:
    if not isinstance(value, list):
        raise _wrong(path, "files", "is no list")
    return value


def _object(value: JsonValue, key: str, path: Path) -> JsonObject:
    if not isinstance(value, dict):
        raise _wrong(path, key, "is no object")
    return value


def _text(values: JsonObject, key: str, path: Path) -> str:
    value = values.get(key)
    if not isinstance(value, str):
        raise _wrong(path, key, "is no text")
    return value


def _texts(value: JsonValue, path: Path) -> dict[str, str]:
    return {key: text for key, text in _object(value, "versions", path).items() if isinstance(text, str)}


def _count(value: JsonValue, key: str, path: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST_BYTES:
        raise _wrong(path, key, f"is {value!r:.80}, not a number of them")
    return value


def _wrong(path: Path, key: str, problem: str) -> ModelError:
    return ModelError(f"{path / RECORD_NAME}: {key}: {problem}", _DAMAGED_HINT)
