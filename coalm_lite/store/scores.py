"""A model's measured scores, kept with it: in our record of a pulled file, in a file of our own making, or in a copy.

A pulled file is never touched: its manifest has the scores. A GGUF with room for its story (`coalm.provenance`) that is
nobody else's is patched in place. Anything else gets a copy, if one is asked for; into one of a file without that key
the key is put, and nothing else in it changes. Not covered: ONNX folders.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from coalm_lite.errors import UsageError
from coalm_lite.runtime.gguf_header import GgufHeader
from coalm_lite.runtime.gguf_types import STRING
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.store.files import store_errors
from coalm_lite.store.manifest import write_manifest
from coalm_lite.store.names import ModelReference
from coalm_lite.store.provenance import (
    KEY,
    Provenance,
    Score,
    is_shared,
    parse_provenance,
    patch_provenance,
    read_provenance,
    reserve,
    written,
)

_COUNTS = 8  # where a GGUF's counts of tensors and of keys begin; behind them, at 24, the keys do
_KEYS = 24
_COPY_HINT = "Give -o FILE: the scores are written into a copy."


def write_scores(model: ModelReference, scores: Sequence[Score], copy: Path | None = None) -> Path:
    """Keep the scores with the model, over those of the same names; returns the file that has them now.

    UsageError for a model that can only have them in a copy, where none is asked for, and for a copy that is there
    already; StoreError where they cannot be written. Nothing half-written stays.
    """
    if model.path.is_dir():
        raise UsageError(f"{model.name} is a folder, and scores are kept with GGUF files", "Keep the report itself.")
    if copy is not None:
        return _write_copy(model.path, copy, scores)
    if model.local:
        manifest = model.local.manifest
        record = written(with_scores(parse_provenance(manifest.scores) if manifest.scores else Provenance(), scores))
        return write_manifest(model.local.cache, replace(manifest, scores=record))
    header = check_model_file(model.path)
    if model.is_shipped or KEY not in header.text_spans or is_shared(model.path):
        raise UsageError(f"{model.path} is not ours to write into, or has no room", _COPY_HINT)
    patch_provenance(model.path, with_scores(read_provenance(header) or Provenance(), scores))
    return model.path


def with_scores(record: Provenance, scores: Sequence[Score]) -> Provenance:
    """The record with these scores, in place of those of the same names."""
    names = {score.name for score in scores}
    return replace(record, scores=(*(score for score in record.scores if score.name not in names), *scores))


def _write_copy(source: Path, target: Path, scores: Sequence[Score]) -> Path:
    header = check_model_file(source)
    if target.exists():
        raise UsageError(f"{target} is there already", "Give -o the name of a new file.")
    record = with_scores(read_provenance(header) or Provenance(), scores)
    with _new_file(target) as new:
        if KEY in header.text_spans:
            shutil.copyfile(source, new)
        else:
            _copy_with_key(source, new, header)
        patch_provenance(new, record)
    return target


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """A name beside the target to write under; it becomes the target when the block is done."""
    with store_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".new-{token_hex(8)}")
        try:
            yield new
            with new.open("rb+") as file:
                os.fsync(file.fileno())
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)


def _copy_with_key(source: Path, target: Path, header: GgufHeader) -> None:
    """The file with room for a record as its first key; as long as keeps the tensors where they are aligned."""
    text = reserve(Provenance())
    head = struct.pack(f"<Q{len(KEY)}sI", len(KEY), KEY.encode(), STRING)
    room = -(-(len(head) + 8 + len(text)) // header.alignment) * header.alignment - len(head) - 8
    with source.open("rb") as old, target.open("xb") as new:
        start = old.read(_KEYS)
        tensors, keys = struct.unpack_from("<QQ", start, _COUNTS)
        new.write(start[:_COUNTS] + struct.pack("<QQ", tensors, keys + 1))
        new.write(head + struct.pack("<Q", room) + text.ljust(room).encode())
        shutil.copyfileobj(old, new, 1 << 20)
