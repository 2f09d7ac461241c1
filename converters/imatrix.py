"""An importance matrix for a model: which columns of its matrices matter, measured on calibration texts.

The texts' tokens stand one behind the other and are cut into chunks of equal length, each of which begins with the
vocabulary's first token, as llama-imatrix does it; values are within 1e-3 of those that it gives for the same text
and model. Covered: GGUF models of the `llama` architecture. Not covered: mixtures of experts, adding to an older file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coalm_lite.converters.calibration.imatrix_file import ColumnSums, read_imatrix, write_imatrix
from coalm_lite.converters.calibration.texts import Calibration, made_here, read_calibration
from coalm_lite.errors import UsageError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.model_file import check_model_file
from coalm_lite.session import INSTRUCTIONS_KEY

if TYPE_CHECKING:
    from coalm_lite.runtime.llamacpp.activations import ActivationMeter

DEFAULT_CHUNK_TOKENS = 512  # llama-imatrix's own
DEFAULT_CHUNKS = 64  # of the conversations made here: each layer has then seen 32,768 tokens
_FEWEST_CHUNK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How to measure. `chunks`: at most so many; None takes all of a file, or 64 of the conversations made here."""

    chunks: int | None = None
    chunk_tokens: int = DEFAULT_CHUNK_TOKENS
    threads: int | None = None
    gpu_layers: int | None = None


_DEFAULTS = MeasureOptions()


@dataclass(frozen=True, slots=True)
class ImatrixProgress:
    """How many chunks were computed; `seconds_left` by the speed so far."""

    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class ImatrixReport:
    """What was written: an importance matrix of so many weight matrices."""

    target: Path
    sha256: str
    matrices: int
    chunks: int
    chunk_tokens: int
    dataset: str
    seconds: float


def make_imatrix(
    source: Path,
    target: Path,
    data: Path | None = None,
    options: MeasureOptions = _DEFAULTS,
    *,
    report: Callable[[ImatrixProgress], None] = lambda _progress: None,
) -> ImatrixReport:
    """Measure the model at `source` and write its importance matrix to `target`, complete or not at all.

    `data`: a text file or JSON lines (see `calibration.texts`); without it, conversations made here. Raises ModelError
    and UsageError, before any work where that can be told.
    """
    from coalm_lite.runtime.llamacpp.activations import ActivationMeter

    _check_wishes(target, options)
    short = check_model_file(source).texts.get(INSTRUCTIONS_KEY) == "short"
    calibration = made_here(short) if data is None else read_calibration(data, short)
    size, most = options.chunk_tokens, DEFAULT_CHUNKS if data is None and options.chunks is None else options.chunks
    started_s = time.monotonic()
    with ActivationMeter.load(
        source, context_tokens=size, threads=options.threads, gpu_layers=options.gpu_layers
    ) as meter:
        parts = _chunks(_tokens(meter, calibration, most, size), meter.first_token, most, size)
        if not parts:
            hint = f"Give more text, or smaller chunks (--context, {size} now)."
            raise UsageError(f"{calibration.name}: too few tokens for a chunk of {size}", hint)
        _measure(meter, parts, report)
        sums = {name: ColumnSums(entry.squares, entry.tokens) for name, entry in meter.sums.items()}
    write_imatrix(target, sums, [calibration.name], len(parts), size)
    digest, seconds = read_imatrix(target).sha256, time.monotonic() - started_s
    return ImatrixReport(target, digest, len(sums), len(parts), size, calibration.name, seconds)


def _check_wishes(target: Path, options: MeasureOptions) -> None:
    """Told before an hour's work, not after it."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "Name the file to write, such as imatrix.gguf.")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}", "Make it first, or choose another place.")
    if options.chunk_tokens < _FEWEST_CHUNK_TOKENS or (options.chunks is not None and options.chunks < 1):
        hint = f"Chunks have at least {_FEWEST_CHUNK_TOKENS} tokens, and there is one or more."
        raise UsageError(f"{options.chunks} chunks of {options.chunk_tokens} tokens cannot be measured", hint)


def _tokens(meter: ActivationMeter, calibration: Calibration, most: int | None, chunk_tokens: int) -> list[int]:
    """The texts' tokens one behind the other, as many as will be used, the vocabulary's first token in front."""
    tokens: list[int] = []
    for prompt in calibration.prompts:
        if most is not None and len(tokens) >= most * chunk_tokens:
            break
        tokens += meter.tokenize(prompt)
    if meter.first_token is not None and tokens[:1] != [meter.first_token]:
        tokens.insert(0, meter.first_token)
    return tokens


def _chunks(tokens: Sequence[int], first_token: int | None, most: int | None, size: int) -> list[list[int]]:
    """Whole chunks; the first token takes the place of one that was there, as in llama-imatrix."""
    starts = range(0, len(tokens) - size + 1, size)[:most]
    parts = [list(tokens[start : start + size]) for start in starts]
    if first_token is not None:
        for part in parts:
            part[0] = first_token
    return parts


def _measure(meter: ActivationMeter, parts: Sequence[Sequence[int]], report: Callable[[ImatrixProgress], None]) -> None:
    cancel = Cancel()
    started_s = time.monotonic()
    for done, part in enumerate(parts, 1):
        meter.add_chunk(part, cancel)
        passed_s = time.monotonic() - started_s
        report(ImatrixProgress(done, len(parts), passed_s / done * (len(parts) - done)))
