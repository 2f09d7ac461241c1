"""The whole way from what a user names to a GGUF file that works and tells its story.

The source is opened, converted while its errors are taken, the result loaded and tried (verify.py), and all of that
written into the file (provenance.py). Covered: folders, `hf:owner/repo`, GGUF files. Not covered: printing, and asking
whether an existing file may be replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gguf import GGMLQuantizationType

from coalm_lite.converters.calibration.imatrix_file import Imatrix, read_imatrix
from coalm_lite.converters.gguf import ConvertReport, convert
from coalm_lite.converters.provenance import begun_record, finished_record, matrix_record
from coalm_lite.converters.sources.base import CheckpointHead, Source
from coalm_lite.converters.sources.opening import open_source
from coalm_lite.converters.verify import base_of, verify_conversion
from coalm_lite.converters.writing.partial import Target
from coalm_lite.converters.writing.quants import Quant
from coalm_lite.converters.writing.tensor_error import is_plausible
from coalm_lite.errors import UsageError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.progress import Progress
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.store.files import store_errors
from coalm_lite.store.provenance import (
    KEY,
    Provenance,
    SourceFile,
    Verification,
    patch_provenance,
    reserve,
)

_ON_THE_HUB = "the source is on the Hub and was read only once"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written and what is known of it. `problems`: why the file must not be trusted."""

    report: ConvertReport
    record: Provenance
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a file is made. `metadata`: further text keys; where `verified`, its errors are taken and it is tried."""

    quant: Quant
    imatrix: Path | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    verified: bool = True
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """Whom to tell how far it is: of the conversion in bytes, of what follows in words.

    `kept_after`: errors after which what was made so far stays for a later run, as it does when the disk is full.
    """

    progress: Callable[[Progress], None]
    stage: Callable[[str], None]
    kept_after: tuple[type[BaseException], ...] = ()


def convert_source(
    text: str, target: Path, recipe: Recipe, watch: Watch, client: HubClient | None = None
) -> Conversion:
    """Converts what `text` names to the file `target`, which appears complete or not at all.

    Raises UsageError for a metadata key that is not the caller's to set; else what opening, converting and loading
    raise.
    """
    if KEY in recipe.metadata:
        hint = "The conversion itself tells where the file comes from."
        raise UsageError(f"metadata key {KEY!r} cannot be set", hint)
    with open_source(text, client) as source:
        _refuse_itself(source, target)
        begun = begun_record(source, str(recipe.quant), matrix_record(_matrix(recipe)))
        report = convert(
            source,
            Target(target, watch.kept_after),
            recipe.quant,
            metadata={**recipe.metadata, KEY: reserve(begun)},
            imatrix=recipe.imatrix,
            measured=recipe.verified,
            threads=recipe.threads,
            report=watch.progress,
        )
        header = read_header(target)
        verification = None
        if recipe.verified:
            watch.stage("hashing the source")
            begun = replace(begun, files=tuple(_hashed(source, begun.files)))
            patch_provenance(target, finished_record(begun, header, report, None))  # should the rest be interrupted
            verification = _verified(source, target, recipe.threads, watch)
    record = finished_record(begun, header, report, verification)
    patch_provenance(target, record)
    return Conversion(report, record, tuple(_problems(report, verification)))


def _matrix(recipe: Recipe) -> Imatrix | None:
    return read_imatrix(recipe.imatrix) if recipe.imatrix else None


def _verified(source: Source, target: Path, threads: int | None, watch: Watch) -> Verification:
    remote = bool(source.facts.revision)
    base = None if remote else base_of(source)
    return verify_conversion(target, base, not_compared=_ON_THE_HUB, threads=threads, report=watch.stage)


def _refuse_itself(source: Source, target: Path) -> None:
    """Raise UsageError where the target is the source, or one of its files."""
    places = [Path(source.place)]
    if isinstance(source.head, CheckpointHead):
        places = [source.head.folder / file.name for file in source.facts.files]
    with store_errors(target):
        if target.exists() and any(place.exists() and place.samefile(target) for place in places):
            raise UsageError(f"{target} is what is to be converted", "Name another file to write.")


def _hashed(source: Source, files: Sequence[SourceFile]) -> Iterator[SourceFile]:
    """The files with the hashes of those that lie on this machine."""
    for file in files:
        path = source.head.folder / file.name if isinstance(source.head, CheckpointHead) else Path(source.place)
        if file.sha256 or not path.is_file():
            yield file
            continue
        with store_errors(path), path.open("rb") as opened:
            yield replace(file, sha256=hashlib.file_digest(opened, "sha256").hexdigest())


def _problems(report: ConvertReport, verification: Verification | None) -> Iterator[str]:
    for name, error in (report.errors or {}).items():
        kind = GGMLQuantizationType[report.tensor_types[name]]
        if not is_plausible(kind, error):
            yield f"{name} is {error.relative:.3g} away from the source, too far for {kind.name}"
    if verification is not None and verification.call_problem:
        yield f"it made no valid tool call: {verification.call_problem}"
