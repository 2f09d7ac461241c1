"""Where a model file came from and how good it is, as one text in the file itself: the GGUF key `coalm.provenance`.

The text is a JSON object, ASCII, filled up with spaces to a length that the converter reserves; so what becomes known
later (errors, agreement, scores) is written in its place, and nothing else in the file moves. Form 1:

    {"format": 1, "source": "owner/repo", "revision": "<commit>", "files": [{"name": ..., "size_bytes": ...}], ...}

with the fields of `Provenance`, those at their default left out. A field that a later version adds is stepped over when
read and kept when written; a version that changes what a field means raises the format. Anybody can write such a text:
read strictly, every number and length bounded. Not covered: files without the key (a copy with one has to be made),
and safetensors or ONNX.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from coalm_lite.errors import StoreError
from coalm_lite.runtime.gguf_header import GgufHeader, read_header
from coalm_lite.runtime.gguf_reader import quoted
from coalm_lite.store.cache import cache_root
from coalm_lite.store.files import store_errors
from coalm_lite.types import JsonObject

KEY = "coalm.provenance"
RESERVED_BYTES = 16 << 10
_FORMAT = 1
_LATER_BYTES = 12 << 10  # room for what becomes known after the header was written
_HASH_BYTES = len(', "sha256": ""') + 64
_STEP_BYTES = 4 << 10
_MAX_BYTES = 1 << 20
_COPY_HINT = "Convert it with `coalm-lite convert`, which reserves the room, or keep the numbers elsewhere."

Text: TypeAlias = Annotated[str, Field(max_length=4096)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Count: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 63)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that was converted, by its name in the source; `sha256` is "" where nobody computed it."""

    name: Text
    size_bytes: Count
    sha256: Sha256 = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceMatrix:
    """The importance matrix that the quantization used: its file's hash, and what it was made of."""

    sha256: Sha256
    datasets: tuple[Text, ...] = ()
    chunks: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorErrors:
    """How far the tensors are from the source's: root of the sum of squared differences over the sum of squares.

    `by_type` is the mean over the tensors of each ggml type, `worst` the largest error and `worst_tensor` whose it is.
    """

    tensors: Count
    worst: Number
    worst_tensor: Text
    by_type: Mapping[Text, Number] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How the logits compare with those of `base` at `positions` places of fixed prompts.

    `top1` is the share of places with the same most likely token; `kl_mean`, in nats, is the divergence of this model's
    distribution from the base's, with the standard error of the mean and the 99th percentile.
    """

    base: Text
    positions: Count
    top1: Share
    kl_mean: Number
    kl_standard_error: Number
    kl_p99: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked of the finished file. `call` is the canned tool call as the model wrote it.

    `call_problem` says why that is no valid call, "" when it is; `not_called` why the model was not asked, and
    `not_compared` why there is no `agreement`.
    """

    dialect: Text = ""
    call: Text = ""
    call_problem: Text = ""
    not_called: Text = ""
    agreement: Agreement | None = None
    not_compared: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number of an evaluation, such as `multiwoz.jga`, over `items`; `base` is the unquantized model's on the same.

    `low` to `high` is the 95 % interval of the difference to the base, and `verdict` what came of comparing them.
    """

    name: Text
    value: Number
    items: Count
    standard_error: Number | None = None
    base: Number | None = None
    base_name: Text = ""
    low: Number | None = None
    high: Number | None = None
    verdict: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A model file's story; "" and empty stand for what is not known.

    `source` is a Hub repository or a folder's or file's name, never a path of somebody's machine; `quant` is the
    recipe as asked for, `data_sha256` the hash of all bytes from the first tensor on. `licenses` and `attribution` are
    the source's own.
    """

    source: Text = ""
    revision: Text = ""
    files: tuple[SourceFile, ...] = ()
    converter: Text = ""
    converter_version: Text = ""
    llama_cpp: Text = ""
    quant: Text = ""
    imatrix: ImportanceMatrix | None = None
    template_sha256: Sha256 = ""
    license: Text = ""
    attribution: tuple[Text, ...] = ()
    data_sha256: Sha256 = ""
    errors: TensorErrors | None = None
    verification: Verification | None = None
    scores: tuple[Score, ...] = ()


def as_json(record: Provenance) -> JsonObject:
    """The record as JSON, fields at their default left out; half a surrogate, as of a file's name, is a `?`."""
    text = json.dumps(_adapter().dump_python(record, mode="json", exclude_defaults=True), ensure_ascii=False)
    values: JsonObject = json.loads(text.encode(errors="replace"))
    return values


def reserve(record: Provenance) -> str:
    """The key's text for a new file: the record as far as it is known, and room for the rest of it."""
    text = _written({}, record)
    unknown_hashes = sum(not file.sha256 for file in record.files) * _HASH_BYTES
    needed = len(text) + unknown_hashes + _LATER_BYTES
    return text.ljust(max(RESERVED_BYTES, -(-needed // _STEP_BYTES) * _STEP_BYTES))


def read_provenance(header: GgufHeader) -> Provenance | None:
    """What the file tells of itself, None when it does not; StoreError for a text that is no such record."""
    text = header.texts.get(KEY)
    return None if text is None else parse_provenance(text)


def parse_provenance(text: str) -> Provenance:
    """The record in a text of anybody's; StoreError for what is none."""
    values = _values(text)
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        raise _damaged(_first_problem(error), _format_of(values) > _FORMAT) from error


def written(record: Provenance) -> str:
    """A record's text, as short as it is; StoreError for one that could not be read again."""
    return _written({}, record)


def patch_provenance(path: Path, record: Provenance) -> None:
    """Write `record` over the one in the file at `path`; tensors, other keys and the length stay as they are.

    StoreError, with the file untouched, where there is no room for it, and for a file that other names or tools share.
    """
    with store_errors(path):
        _refuse_shared(path)
        header = read_header(path)
        start, length = header.text_spans.get(KEY, (0, 0))
        if not start:
            raise StoreError(f"{path} has no room for provenance: the key {KEY} is missing", _COPY_HINT)
        text = _written(_kept(header.texts[KEY], path), record)
        if len(text) > length:
            raise StoreError(f"{path}: the provenance takes {len(text)} bytes, and {length} are reserved", _COPY_HINT)
        _overwrite(path, start, text.ljust(length).encode("ascii"))


def is_shared(path: Path) -> bool:
    """Whether the file is in a Hugging Face cache or has a second name, so that a change would reach others too."""
    real = path.resolve()
    parents = [parent.name for parent in real.parents]
    in_cache = cache_root().resolve() in real.parents or any(
        name.startswith("models--") and {"blobs", "snapshots"} & set(parents[:index])
        for index, name in enumerate(parents)
    )
    return in_cache or (real.exists() and real.stat().st_nlink > 1)


def _refuse_shared(path: Path) -> None:
    if is_shared(path):
        raise StoreError(
            f"{path} is in the Hugging Face cache or has a second name, and is never modified",
            "Copy it first, and name the copy.",
        )


def _overwrite(path: Path, start: int, data: bytes) -> None:
    """One write of the same length, on the disk when this returns."""
    with path.open("r+b", buffering=0) as file:
        file.seek(start)
        written = 0
        while written < len(data):
            written += file.write(data[written:]) or 0
        os.fsync(file.fileno())


def _kept(text: str, path: Path) -> JsonObject:
    """The entries of a record that this version does not know; none of a damaged one, which is written anew."""
    try:
        values = _values(text)
    except StoreError:
        return {}
    if _format_of(values) > _FORMAT:
        problem = f"{path}: its provenance was written by a newer coalm-lite (format {_format_of(values)})"
        raise StoreError(problem, "Use that version, or a newer one.")
    known = {"format", *Provenance.__dataclass_fields__}
    return {key: value for key, value in values.items() if key not in known}


def _written(kept: JsonObject, record: Provenance) -> str:
    """The text of a record; StoreError for one that could not be read again."""
    try:
        text = json.dumps({"format": _FORMAT, **as_json(record), **kept}, allow_nan=False)
        _adapter().validate_json(text, strict=True)
    except ValueError as error:
        problem = _first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise StoreError(f"provenance cannot be written: {problem}") from error
    return text


def _values(text: str) -> JsonObject:
    if len(text) > _MAX_BYTES:
        raise _damaged(f"it is longer than {_MAX_BYTES} bytes")
    try:
        values = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error)) from error
    if not isinstance(values, dict) or _format_of(values) < 1:
        raise _damaged("it is no object with a format")
    return values


def _format_of(values: JsonObject) -> int:
    number = values.get("format")
    return number if isinstance(number, int) and not isinstance(number, bool) and number < 1 << 31 else 0


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")


def _first_problem(error: ValidationError) -> str:
    """The first field that is wrong, and how; without the value, which is the file's."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{quoted('.'.join(map(str, first['loc'])))}: {first['msg']}"


def _damaged(problem: str, newer: bool = False) -> StoreError:
    hint = "A newer coalm-lite wrote it; update to read it." if newer else "The model itself may be sound all the same."
    return StoreError(f"the file's provenance ({KEY}) cannot be read: {problem}", hint)


@cache
def _adapter() -> TypeAdapter[Provenance]:
    return TypeAdapter(Provenance)
