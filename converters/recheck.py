"""The work of `coalm-lite verify` on a model by its path: checked against its own record, or held against its source.

Covered: GGUF files of ours and of others, and ONNX folders, whose tensors are not compared one by one. A file that is
shared, as in the Hugging Face cache, is never written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from gguf import GGMLQuantizationType

from coalm_lite.converters.checks.tensors import TensorCheck, broken_tensors, check_tensors, data_hash
from coalm_lite.converters.verify import Base, Report, has_failed, size_words, verify_conversion
from coalm_lite.errors import ModelError, StoreError
from coalm_lite.pull.machine import free_disk_bytes
from coalm_lite.runtime.gguf_header import GgufHeader
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.runtime.onnx_folder import RECORD_NAME, changed_files, read_onnx_folder
from coalm_lite.store.files import store_errors, write_whole
from coalm_lite.store.provenance import (
    KEY,
    Provenance,
    Verification,
    as_json,
    is_shared,
    patch_provenance,
    read_provenance,
)

State: TypeAlias = Literal["fine", "changed bytes", "bad header", "bad values", "no call"]
_MANY = 3
_WHOLE = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16)


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What became of a file's check; `detail` says more. `hashed`: its provenance has the hash of its tensors."""

    path: Path
    state: State
    detail: str = ""
    hashed: bool = False
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against its source. `tensors` is None where they could not be compared; `problem` is "" when all is fine.

    `written`: the numbers stand in the file now; `not_written` says why they do not.
    """

    tensors: TensorCheck | None
    verification: Verification
    written: bool = False
    not_written: str = ""

    @property
    def problem(self) -> str:
        """What is wrong with the file."""
        if self.tensors and self.tensors.implausible:
            return f"no quantization explains {_listed(self.tensors.implausible)}"
        return self.verification.call_problem


def check_file(
    path: Path,
    *,
    listed_dialects: Sequence[str] = (),
    threads: int | None = None,
    report: Callable[[int], None] = lambda count: None,
) -> FileCheck:
    """Whether the model is as it was written and works: header, hash, values, and a canned call."""
    try:
        checked = _checked_folder(path, report) if path.is_dir() else _checked_file(path, report)
    except (ModelError, StoreError) as error:
        return FileCheck(path, "bad header", error.message)
    if checked.state != "fine":
        return checked
    called = verify_conversion(path, None, listed_dialects=listed_dialects, threads=threads)
    state: State = "no call" if has_failed(called) else "fine"
    return replace(checked, state=state, detail=called.call_problem, verification=called)


def _checked_file(path: Path, report: Callable[[int], None]) -> FileCheck:
    header = check_model_file(path)
    provenance = read_provenance(header)
    expected = provenance.data_sha256 if provenance else ""
    found = data_hash(path, header, report) if expected else ""
    if found != expected:
        return FileCheck(path, "changed bytes", f"its tensors' hash is {found}, and {expected} was written", True)
    broken = broken_tensors(path, header, report)
    detail = f"values that are no numbers in {_listed(broken)}" if broken else ""
    return FileCheck(path, "bad values" if broken else "fine", detail, bool(expected))


def _checked_folder(path: Path, report: Callable[[int], None]) -> FileCheck:
    changed = list(changed_files(read_onnx_folder(path), report))
    detail = f"the hash of {_listed(changed)} is not the one that was written" if changed else ""
    return FileCheck(path, "changed bytes" if changed else "fine", detail, True)


def compare_with_source(
    model: Path,
    base: Base,
    *,
    beside: Path,
    listed_dialects: Sequence[str] = (),
    threads: int | None = None,
    report: Report = lambda stage: None,
) -> Comparison:
    """The file's tensors and logits against the base's; a base that has to be made is made next to `beside`.

    The numbers are written into the file's provenance, where it has one and is nobody else's too.
    """
    free = free_disk_bytes(beside.parent)
    if base.path is None and base.size_bytes > free:
        lacks = f"needs {size_words(base.size_bytes)} of disk, and {size_words(free)} are free"
        found = verify_conversion(
            model, None, not_compared=lacks, listed_dialects=listed_dialects, threads=threads, report=report
        )
        return Comparison(None, found, not_written="it was not compared")
    if base.path is None:
        report("making the 16-bit model")
    with base.file(beside) as path:
        report("comparing tensors")
        tensors = None if model.is_dir() else check_tensors(model, path)
        with store_errors(path):
            at_hand = replace(base, path=path, size_bytes=path.stat().st_size)
        found = verify_conversion(model, at_hand, listed_dialects=listed_dialects, threads=threads, report=report)
        return _written(model, Comparison(tensors, found), check_model_file(path))


def _written(model: Path, comparison: Comparison, base: GgufHeader) -> Comparison:
    """The comparison, with its numbers in the file where they may be there."""
    if reason := _not_to_be_written(model, comparison, base):
        return replace(comparison, not_written=reason)
    errors = comparison.tensors.errors if comparison.tensors else None
    try:
        if model.is_dir():
            _write_into_folder(model, Provenance(verification=comparison.verification))
        else:
            record = read_provenance(check_model_file(model)) or Provenance()
            patch_provenance(model, replace(record, errors=errors, verification=comparison.verification))
    except StoreError as error:
        return replace(comparison, not_written=error.message)
    return replace(comparison, written=True)


def _write_into_folder(folder: Path, found: Provenance) -> None:
    """Put what was found into an ONNX folder's record, which is written whole."""
    place = folder / RECORD_NAME
    with store_errors(place):
        record = json.loads(place.read_text(encoding="utf-8"))  # whose form was checked when the folder was loaded
    record["provenance"] = {**record.get("provenance", {}), **as_json(found)}
    write_whole(place, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def _not_to_be_written(model: Path, comparison: Comparison, base: GgufHeader) -> str:
    """Why the numbers stay out of the file, "" when they may be written: what stands there is never made worse."""
    if not model.is_dir() and KEY not in check_model_file(model).texts:
        return "it has no room for them"
    if is_shared(model / RECORD_NAME if model.is_dir() else model):
        return "other tools or names share it"
    if any(tensor.type_id not in _WHOLE for tensor in base.tensors):
        return "the source is quantized itself"
    if comparison.problem or comparison.verification.agreement is None:
        return "they are not complete"
    return ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more
