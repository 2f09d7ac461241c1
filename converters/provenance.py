"""The provenance of a converted file: what is known before it is written, and what is known afterwards.

    begun = begun_record(source, "q4_k_m")
    metadata = {KEY: reserve(begun)}
    report = convert(source, target, Quant.Q4_K_M, metadata=metadata, measured=True)
    patch_provenance(target, finished_record(begun, read_header(target), report, verification))

Licence and attribution are the source's own words, from its model card or its GGUF keys; nothing is added to them but
the sentence that the Llama licence asks for, where the source names that licence or a base model of Meta's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from types import MappingProxyType

from coalm_lite.converters.calibration.imatrix_file import Imatrix
from coalm_lite.converters.gguf import ConvertReport
from coalm_lite.converters.sources.base import Source
from coalm_lite.converters.writing.tensor_error import summary
from coalm_lite.runtime.chat_template import TEMPLATE_KEY
from coalm_lite.runtime.gguf_header import GgufHeader
from coalm_lite.store.provenance import ImportanceMatrix, Provenance, SourceFile, Verification

BUILT_WITH_LLAMA = "Built with Llama"
_MOST_CHARACTERS = 300
_CONVERTER = "coalm-lite"
_LLAMA_LICENSE = re.compile(r"llama-?[2-9]", re.IGNORECASE)
# The keys of the models that the card names as its base, and what they are for one of Meta's.
_META_BASE: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "name": re.compile(r"(meta[- ])?llama[- ]?[2-9]", re.IGNORECASE),
        "organization": re.compile(r"meta[- ]llama$", re.IGNORECASE),
        "repo_url": re.compile(r"https://huggingface\.co/meta-llama/", re.IGNORECASE),
    }
)
_BASE_KEY = re.compile(r"general\.base_model\.\d+\.(\w+)")


def matrix_record(imatrix: Imatrix | None) -> ImportanceMatrix | None:
    """What is told of an importance matrix, if there is one."""
    if imatrix is None:
        return None
    return ImportanceMatrix(sha256=imatrix.sha256, datasets=imatrix.datasets, chunks=imatrix.chunks)


def begun_record(source: Source, quant: str, imatrix: ImportanceMatrix | None = None) -> Provenance:
    """What is known before a byte is written."""
    facts = source.facts
    return Provenance(
        source=facts.id,
        revision=facts.revision,
        files=tuple(SourceFile(name=f.name, size_bytes=f.size_bytes, sha256=f.sha256) for f in facts.files),
        converter=_CONVERTER,
        converter_version=version("coalm-lite"),
        llama_cpp=f"llama-cpp-python {version('llama-cpp-python')}",
        quant=quant,
        imatrix=imatrix,
    )


def finished_record(
    begun: Provenance, header: GgufHeader, report: ConvertReport, verification: Verification | None
) -> Provenance:
    """What is known of the finished file, whose head says the rest."""
    texts = header.texts
    template = texts.get(TEMPLATE_KEY, "")
    return replace(
        begun,
        template_sha256=hashlib.sha256(template.encode()).hexdigest() if template else "",
        license=license_of(texts),
        attribution=attribution_of(texts),
        data_sha256=report.data_sha256,
        errors=summary(report.errors, report.tensor_types) if report.errors is not None else None,
        verification=verification,
    )


def license_of(texts: Mapping[str, str]) -> str:
    """The licence as the source's card names it, with its name and link where it gives them."""
    words = [texts.get(f"general.license{part}", "") for part in ("", ".name", ".link")]
    return _cut(", ".join(word for word in words if word))


def attribution_of(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Who made the source, by its own keys, and the Llama licence's sentence where that licence is the source's."""
    is_llama = _LLAMA_LICENSE.match(texts.get("general.license", "")) or any(map(_is_of_meta, texts, texts.values()))
    makers = dict.fromkeys(texts.get(f"general.{key}", "") for key in ("author", "organization"))
    return (*((BUILT_WITH_LLAMA,) if is_llama else ()), *(_cut(f"by {maker}") for maker in makers if maker))


def _cut(text: str) -> str:
    """The text as far as the room that is reserved surely holds it; a card may say anything at any length."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def _is_of_meta(key: str, value: str) -> bool:
    """Whether the key tells of a base model that it is a Llama of Meta's."""
    named = _BASE_KEY.fullmatch(key)
    pattern = _META_BASE.get(named[1]) if named else None
    return pattern is not None and pattern.match(value) is not None
