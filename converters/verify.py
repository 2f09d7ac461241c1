"""Whether a converted model works, and how far it is from its source's 16-bit model.

The result makes one canned call; then its logits are compared with those of the base: a GGUF as it is, a checkpoint
through a 16-bit GGUF that is made beside the result and deleted afterwards. One model is loaded at a time. A base that
memory or disk cannot take is not compared, and the report says what it needs. Covered: GGUF files, and ONNX folders,
whose logits come a token at a time. Not covered: the quality of answers, which is evaluation's work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO, TypeAlias

from coalm_lite import dialects
from coalm_lite.converters.checks.agreement import agreement, compare_logits, prompt_tokens, record_logits
from coalm_lite.converters.checks.canned_call import canned_call
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.sources.base import GgufHead, Source
from coalm_lite.errors import DecodingError, ModelError, StoreError
from coalm_lite.pull.machine import free_disk_bytes, this_machine
from coalm_lite.pull.memory import memory_need, shape_of_header
from coalm_lite.runtime.base import Cancel, Engine
from coalm_lite.runtime.gguf_header import GgufHeader
from coalm_lite.runtime.model_file import check_model_file, check_vocabulary_file, trained_context_tokens
from coalm_lite.runtime.onnx_folder import read_onnx_folder
from coalm_lite.session import INSTRUCTIONS_KEY
from coalm_lite.store.files import store_errors
from coalm_lite.store.provenance import Verification

Opener: TypeAlias = Callable[[Path], Engine]
Report: TypeAlias = Callable[[str], None]

CONTEXT_TOKENS = 2048
DEFAULT_DIALECT = "cra"
_DIALECTS_KEY = "coalm.dialects"
_BASE_SUFFIX = ".base-16bit"
_NO_CALL = "the tool call failed"
_HEAD_BYTES = 32 << 20  # more than Llama 3's vocabulary takes in a file's head
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Base:
    """The 16-bit model to compare with: the file `path`, or, where that is None, what `make` writes.

    `size_bytes` is the file's length, estimated before it is made.
    """

    name: str
    size_bytes: int
    path: Path | None = None
    make: Callable[[Path], object] | None = None

    @contextmanager
    def file(self, beside: Path) -> Iterator[Path]:
        """The base's file; one that was made, next to `beside`, is gone after the block."""
        if self.path is not None:
            yield self.path
            return
        made = beside.with_name(beside.name + _BASE_SUFFIX)
        with store_errors(made):
            made.parent.mkdir(parents=True, exist_ok=True)
        try:
            if self.make is not None:
                self.make(made)
            yield made
        finally:
            with store_errors(made):
                made.unlink(missing_ok=True)


def base_of(source: Source) -> Base:
    """The base that a source gives: a GGUF itself, or what converting its checkpoint to 16 bits makes."""
    if isinstance(source.head, GgufHead):
        return file_base(Path(source.place))
    matrices = [tensor for tensor in source.tensors if len(tensor.shape) > 1]
    size_bytes = sum(2 * prod(tensor.shape) for tensor in matrices) + _HEAD_BYTES
    quant = Quant.BF16 if matrices[0].dtype == "BF16" else Quant.F16
    return Base(source.facts.id, size_bytes, make=lambda path: convert(source, path, quant))


def file_base(path: Path) -> Base:
    """A GGUF file as the base, whatever its types."""
    with store_errors(path):
        return Base(path.name, path.stat().st_size, path)


def verify_conversion(
    target: Path,
    base: Base | None,
    *,
    not_compared: str = "no source was given",
    listed_dialects: Sequence[str] = (),
    threads: int | None = None,
    report: Report = lambda stage: None,
    cancel: Cancel | None = None,
) -> Verification:
    """What `target`, a GGUF file or an ONNX folder, makes of the canned call, and how it compares with `base`.

    `not_compared` is told where `base` is None. The dialect is the first known one that the file names, or else of
    `listed_dialects`. Raises ModelError when one of the two cannot be loaded at all.
    """
    refusal = refusal_of(base, header_of(target), target) if base else not_compared
    open_engine, stop = _opener(threads), cancel or Cancel()
    report("trying a tool call")
    with open_engine(target) as engine:
        form = _form(engine, listed_dialects)
        call = canned_call(engine, form.dialect.NAME, form.short, stop)
        found = Verification(
            dialect=form.dialect.NAME, call=call.text, call_problem=call.problem, not_called=call.not_called
        )
        if base is None or refusal or call.problem:
            return replace(found, not_compared=refusal or _NO_CALL)
        try:
            with tempfile.TemporaryFile() as rows, store_errors(Path(tempfile.gettempdir())):
                return _compared(found, engine, form, _Other(base, open_engine, target, report, stop), rows)
        except StoreError as error:  # no room for the logits or the 16-bit file: the result itself stands
            return replace(found, not_compared=error.message)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a model is asked."""

    dialect: dialects.Dialect
    short: bool


@dataclass(frozen=True, slots=True)
class _Other:
    """The base and how to come to its engine."""

    base: Base
    open_engine: Opener
    beside: Path
    report: Report
    cancel: Cancel

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The base, loaded; made before where it must be."""
        self.report("loading the 16-bit model" if self.base.path else "making the 16-bit model")
        with self.base.file(self.beside) as path, self.open_engine(path) as engine:
            yield engine


def _compared(found: Verification, engine: Engine, form: _Form, other: _Other, rows: IO[bytes]) -> Verification:
    """What was found, with the agreement; `engine` is closed before the base is opened."""
    other.report("computing logits")
    prompts = prompt_tokens(engine, form.dialect, form.short)
    try:
        record_logits(engine, prompts, rows, other.cancel)
    except DecodingError as error:
        return replace(found, call_problem=error.message, not_compared=_NO_CALL)
    engine.close()
    with other.engine() as base_engine:
        if prompt_tokens(base_engine, form.dialect, form.short) != prompts:
            raise ModelError(f"{other.base.name} reads the same prompts as other tokens", "Is it this model's source?")
        other.report("comparing logits")
        places = list(compare_logits(base_engine, prompts, rows, other.cancel))
    return replace(found, agreement=agreement(other.base.name, places))


def _form(engine: Engine, listed_dialects: Sequence[str]) -> _Form:
    """The first known dialect that the model's metadata names, or else the list; brief where the metadata say so."""
    named = [*engine.info.metadata.get(_DIALECTS_KEY, "").split(","), *listed_dialects]
    known = (name.strip() for name in named if name.strip() in dialects.NAMES)
    return _Form(dialects.get(next(known, DEFAULT_DIALECT)), engine.info.metadata.get(INSTRUCTIONS_KEY) == "short")


def refusal_of(base: Base, header: GgufHeader, target: Path) -> str:
    """Why the base cannot be compared on this machine, such as "needs 17.1 GB of memory ...", "" when it can.

    `header` is that of a model of the same shape.
    """
    shape = shape_of_header(header.values, header.arrays)
    context_tokens = min(trained_context_tokens(header), CONTEXT_TOKENS)
    needed = memory_need(shape, base.size_bytes, context_tokens).total_bytes if shape else base.size_bytes
    available = this_machine().available_bytes
    if needed > available:
        return f"needs {size_words(needed)} of memory, and {size_words(available)} are free"
    free = free_disk_bytes(target.parent)
    if base.path is None and base.size_bytes > free:
        return f"needs {size_words(base.size_bytes)} of disk, and {size_words(free)} are free"
    return ""


def size_words(size_bytes: int) -> str:
    """`17.1 GB`."""
    return f"{size_bytes / _GIGABYTE:.1f} GB"


def header_of(model: Path) -> GgufHeader:
    """The checked header of a GGUF file, or of an ONNX folder's vocabulary."""
    if not model.is_dir():
        return check_model_file(model)
    return check_vocabulary_file(read_onnx_folder(model).vocabulary)


def _opener(threads: int | None) -> Opener:
    def open_engine(path: Path) -> Engine:
        context_tokens = min(trained_context_tokens(header_of(path)), CONTEXT_TOKENS)
        if path.is_dir():
            from coalm_lite.runtime.onnx import OnnxEngine

            return OnnxEngine.load(path, context_tokens=context_tokens, threads=threads)
        from coalm_lite.runtime.llamacpp import LlamaEngine

        # One kind of attention for both models, or its difference would count as loss.
        return LlamaEngine.load(path, context_tokens=context_tokens, threads=threads, flash_attention=False)

    return open_engine


def has_failed(found: Verification) -> bool:
    """Whether the file must not be trusted."""
    return bool(found.call_problem)
