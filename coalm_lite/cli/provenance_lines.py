"""A model's provenance and what was found of it, in words: a name and its value a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coalm_lite.cli.output import size_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coalm_lite.store.provenance import (
        Agreement,
        ImportanceMatrix,
        Provenance,
        Score,
        SourceFile,
        TensorErrors,
        Verification,
    )

_SHOWN_CHARACTERS = 300
_SHOWN_TYPES = 8
_SHOWN_SCORES = 40
_HASH_CHARACTERS = 12


def provenance_lines(record: Provenance) -> Iterator[tuple[str, str]]:
    """What the file tells of its making, "" where it does not; long texts are cut."""
    yield "source files", _files_words(record.files)
    yield "attribution", shown("; ".join(record.attribution))
    yield "converter", shown(", ".join(filter(None, (_named(record), record.llama_cpp))))
    yield "recipe", shown(record.quant)
    if record.imatrix:
        yield "imatrix", _imatrix_words(record.imatrix)
    if record.errors:
        yield "errors", errors_words(record.errors)
    if record.verification:
        yield from verification_lines(record.verification)
    yield from score_lines(record.scores)


def score_lines(scores: Sequence[Score]) -> Iterator[tuple[str, str]]:
    """What was measured, a line a score."""
    for score in scores[:_SHOWN_SCORES]:
        yield shown(f"score {score.name}"), _score_words(score)


def verification_lines(found: Verification) -> Iterator[tuple[str, str]]:
    """What was tried with the model."""
    yield "tool call", _call_words(found)
    if found.agreement:
        yield "logits", agreement_words(found.agreement)
    else:
        yield "logits", shown(f"not compared: {found.not_compared}") if found.not_compared else ""


def errors_words(errors: TensorErrors) -> str:
    """`Q4_K 7.1 %, Q6_K 1.8 %; at most 9.9 % in blk.0.attn_v.weight`: relative, the mean of each type's tensors."""
    kinds = [f"{kind} {_percent(error)}" for kind, error in errors.by_type.items() if error][:_SHOWN_TYPES]
    worst = f"at most {_percent(errors.worst)} in {errors.worst_tensor}" if errors.worst else "none"
    return shown(f"{', '.join(kinds)}; {worst}" if kinds else worst)


def agreement_words(found: Agreement) -> str:
    """The agreement and divergence, over how many places and with which base."""
    return shown(
        f"same top token at {_percent(found.top1)} of {found.positions} places, KL divergence {found.kl_mean:.3g}"
        f" ± {found.kl_standard_error:.2g} (99th percentile {found.kl_p99:.3g}), against {found.base}"
    )


def shown(text: str) -> str:
    """A text of the file's, cut where it is too long to read."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"


def _named(record: Provenance) -> str:
    return f"{record.converter} {record.converter_version}".strip()


def _files_words(files: tuple[SourceFile, ...]) -> str:
    if not files:
        return ""
    count = f"{len(files)} files" if len(files) > 1 else files[0].name
    hashed = sum(bool(file.sha256) for file in files)
    known = "" if not hashed else ", sha256 recorded" if hashed == len(files) else f", sha256 of {hashed} recorded"
    return shown(f"{count}, {size_words(sum(file.size_bytes for file in files))}{known}")


def _imatrix_words(imatrix: ImportanceMatrix) -> str:
    data = f" of {', '.join(imatrix.datasets)}" if imatrix.datasets else ""
    return shown(f"sha256 {imatrix.sha256[:_HASH_CHARACTERS]}, {imatrix.chunks} chunks{data}")


def _call_words(found: Verification) -> str:
    if found.not_called:
        return shown(f"not tried: {found.not_called}")
    if found.call_problem:
        return shown(f"failed: {found.call_problem}")
    return shown(f"{found.call} ({found.dialect})") if found.call else ""


def _score_words(score: Score) -> str:
    error = "" if score.standard_error is None else f" ± {score.standard_error:.2g}"
    base = "" if score.base is None else f", {score.base_name or 'the 16-bit model'} {score.base:.4g}"
    within = "" if score.low is None or score.high is None else f" ({score.low:+.3g} to {score.high:+.3g})"
    verdict = f", {score.verdict}{within}" if score.verdict else ""
    return shown(f"{score.value:.4g}{error} of {score.items} items{base}{verdict}")


def _percent(share: float) -> str:
    """`7.1 %`, `0.54 %`, `100 %`."""
    return f"{100 * share:.3g} %"
