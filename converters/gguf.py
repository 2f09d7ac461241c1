"""A Llama checkpoint in Hugging Face layout, or a GGUF of 16 or 32 bits, to one GGUF file in one pass.

Covered: the kinds of `Quant`. A checkpoint's F32, F16 and BF16 files equal those of llama.cpp's convert_hf_to_gguf.py;
any other file equals what llama-quantize makes of the 16-bit file of that converter (`--outtype auto`: BF16 when the
checkpoint is BF16, else F16), or of the GGUF given: order of keys and tensors included. Only provenance keys come on
top. Memory: a few blocks of rows (writing/pipeline.py) and, at the beginning, the tokenizer: measured with Llama 3's
128,256 tokens on two threads, 207 MB at 1B and no more at any size, where the two steps take 2.4 GB; bound: 700 MB at
1B, 1.5 GB at 8B and above. Not covered: biases, adapters, experts, splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from coalm_lite.converters.calibration.imatrix_file import Imatrix, read_imatrix
from coalm_lite.converters.sources.base import Source
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.sources.weights import VALUE_BYTES
from coalm_lite.converters.writing.header import ALIGNMENT, Header, ImatrixFacts, check_metadata, header_bytes
from coalm_lite.converters.writing.layout import Layout, PlannedTensor, plan_layout
from coalm_lite.converters.writing.partial import PartialFile, Plan, Target, partial_file
from coalm_lite.converters.writing.pipeline import Encoder, encode_tensors, usable_threads
from coalm_lite.converters.writing.quants import Quant
from coalm_lite.converters.writing.tensor_error import SquaredError
from coalm_lite.errors import ModelError, UsageError
from coalm_lite.hub.progress import Meter, Progress
from coalm_lite.types import JsonObject

__all__ = ["ConvertReport", "Quant", "convert"]
_NO_METADATA: Mapping[str, str] = MappingProxyType({})
_TOKEN_TABLE = "token_embd.weight"
_FORM = 1  # of the journal's settings and notes; what another form left is not gone on with


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What was written: `tensor_types` gives ggml's type by tensor name, in file order.

    `errors`: how far each tensor is from the source; None where that was not asked for. `resumed`: how many tensors an
    earlier run had left complete.
    """

    target: Path
    quant: Quant
    parameters: int
    size_bytes: int
    tensor_types: Mapping[str, str]
    data_sha256: str
    errors: Mapping[str, SquaredError] | None
    resumed: int


def convert(
    source: Source | Path,
    target: Path | Target,
    quant: Quant,
    *,
    metadata: Mapping[str, str] = _NO_METADATA,
    imatrix: Path | None = None,
    measured: bool = False,
    threads: int | None = None,
    report: Callable[[Progress], None] | None = None,
) -> ConvertReport:
    """Writes `source`, a path being that of a checkpoint's folder, to `target` and reports what it wrote.

    `metadata`: extra text keys (`general.` or `coalm.`); one that the source sets too is replaced, an empty value
    removes it. `measured`: take each tensor's error. Raises ModelError naming file and tensor when the source is
    damaged, incomplete or of another kind, UsageError for a bad key or target, StoreError when the disk is too small or
    refuses. `target` appears complete or not at all; what a killed run left of it is gone on with.
    """
    check_metadata(metadata)
    wanted = target if isinstance(target, Target) else Target(target)
    if wanted.path.is_dir():
        raise UsageError(f"{wanted.path} is a folder", "Name the file to write, such as model.gguf.")
    opened = checkpoint_source(source) if isinstance(source, Path) else source
    matrix = read_imatrix(imatrix) if imatrix else None
    layout = plan_layout(opened, quant, matrix is not None)
    importance = _importance(layout, matrix, imatrix)
    plan = _plan(
        opened, wanted, layout, metadata, imatrix_facts(matrix, imatrix), _settings(opened, quant, matrix, measured)
    )
    encoder = Encoder(importance, measured)
    with partial_file(plan) as file:
        resumed = len(file.notes)
        errors = _write(file, layout, encoder, threads or usable_threads(), Meter(report or _ignore))
        data_sha256 = file.data_sha256
    types = {tensor.info.name: tensor.info.kind.name for tensor in layout.tensors}
    parameters = sum(prod(tensor.info.shape) for tensor in layout.tensors)
    return ConvertReport(
        wanted.path,
        quant,
        parameters,
        plan.size_bytes,
        MappingProxyType(types),
        data_sha256,
        errors if measured else None,
        resumed,
    )


def _write(file: PartialFile, layout: Layout, encoder: Encoder, threads: int, meter: Meter) -> dict[str, SquaredError]:
    """Writes the tensors that are not there yet; returns the errors of all."""
    names = [tensor.info.name for tensor in layout.tensors]
    errors = {name: _error_of(note) for name, note in zip(names, file.notes, strict=False)}
    missing = layout.tensors[len(file.notes) :]
    total = sum(map(_source_bytes, layout.tensors))
    meter.begin("converting", total - sum(map(_source_bytes, missing)), total)
    error = SquaredError()
    with closing(encode_tensors(missing, encoder, threads)) as blocks:
        for block in blocks:
            file.write(block.data.data)
            meter.add(block.read_bytes)
            error += block.error or SquaredError()
            if block.is_last:
                errors[block.tensor.info.name] = error
                file.end_part({"difference": error.difference, "square": error.square})
                error = SquaredError()
    return errors


def _plan(
    source: Source,
    target: Target,
    layout: Layout,
    metadata: Mapping[str, str],
    imatrix: ImatrixFacts | None,
    settings: JsonObject,
) -> Plan:
    infos = [tensor.info for tensor in layout.tensors]
    head = header_bytes(Header(source.head, infos, layout.file_type, layout.requantized, metadata, imatrix))
    size_bytes = _aligned(len(head)) + sum(_aligned(info.size_bytes) for info in infos)
    return Plan(target.path, settings, head, size_bytes, ALIGNMENT, target.kept_after)


def _settings(source: Source, quant: Quant, imatrix: Imatrix | None, measured: bool) -> JsonObject:
    """All that the tensors' bytes and the notes depend on."""
    return {
        "form": _FORM,
        "source": source.facts.identity,
        "quant": quant,
        "imatrix": imatrix.sha256 if imatrix else "",
        "measured": measured,
        "versions": [f"{name} {version(name)}" for name in ("coalm-lite", "llama-cpp-python")],
    }


def _importance(layout: Layout, imatrix: Imatrix | None, path: Path | None) -> Mapping[str, NDArray[np.float32]]:
    """What each matrix's columns weigh; ModelError when the importance matrix is that of another model."""
    values = imatrix.values if imatrix else {}
    chosen = {}
    for tensor in layout.tensors:
        importance = values.get(tensor.info.name)
        columns = tensor.info.shape[-1]
        if importance is None or len(tensor.info.shape) < 2:
            continue
        if importance.shape == (columns,):
            chosen[tensor.info.name] = importance
        elif tensor.info.name != _TOKEN_TABLE:  # llama-quantize goes on without it
            problem = f"{tensor.info.name} has {importance.size} values, the model's has {columns} columns"
            raise ModelError(f"{path}: {problem}", "Make the importance matrix with this very model.")
    if values and not chosen:
        raise ModelError(f"{path}: none of its {len(values)} entries is of this model", "Make one with this model.")
    return chosen


def imatrix_facts(imatrix: Imatrix | None, path: Path | None) -> ImatrixFacts | None:
    """What the head says of an importance matrix and its file."""
    if imatrix is None or path is None:
        return None
    return ImatrixFacts(path.name, imatrix.datasets, len(imatrix.values), imatrix.chunks)


def _error_of(note: JsonObject) -> SquaredError:
    difference, square = note.get("difference"), note.get("square")
    if not isinstance(difference, float) or not isinstance(square, float):
        raise ModelError(f"a journal's note {note!r:.80} is damaged", "Delete the .partial.journal and start again.")
    return SquaredError(difference, square)


def _source_bytes(tensor: PlannedTensor) -> int:
    return prod(tensor.source.shape) * VALUE_BYTES[tensor.source.dtype]


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def _ignore(_: Progress) -> None:
    """Nobody watches."""
