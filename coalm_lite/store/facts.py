"""What a model file says of itself, with what our record and the catalog add: the facts that `show` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from coalm_lite.runtime.chat_template import TEMPLATE_KEY, TemplateCheck, check_template
from coalm_lite.runtime.gguf_header import GgufHeader, Value
from coalm_lite.runtime.model_file import trained_context_tokens
from coalm_lite.store.names import ModelReference

_SOURCE_KEY = "coalm.source"
_SCORE_PREFIX = "coalm.score."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model; "" stands for what nobody has written down.

    `quant` is the file's own word for the types of its weights; `source` is `hf:owner/repo@revision/path` when it was
    pulled, else what the file says.
    """

    name: str
    path: Path
    size_bytes: int
    architecture: str
    parameters: int
    quant: str
    trained_context_tokens: int
    dialects: tuple[str, ...]
    license: str
    source: str
    sha256: str
    pulled_at: str
    template: TemplateCheck
    scores: Mapping[str, Value] = field(default_factory=dict)


def model_facts(reference: ModelReference, header: GgufHeader) -> ModelFacts:
    """The facts of the model whose header was read; its chat template is rendered in a child process, with limits."""
    local = reference.local
    return ModelFacts(
        name=reference.name,
        path=reference.path,
        size_bytes=reference.path.stat().st_size,
        architecture=header.texts["general.architecture"],
        parameters=sum(prod(tensor.shape) for tensor in header.tensors),
        quant=quant_of(header),
        trained_context_tokens=trained_context_tokens(header),
        dialects=reference.dialects(header.texts),
        license=_license(reference, header),
        source=local.place if local else header.texts.get(_SOURCE_KEY, ""),
        sha256=local.manifest.sha256 if local else "",
        pulled_at=local.manifest.pulled_at if local else "",
        template=check_template(header.texts.get(TEMPLATE_KEY)),
        scores={
            key.removeprefix(_SCORE_PREFIX): value
            for key, value in header.values.items()
            if key.startswith(_SCORE_PREFIX)
        },
    )


def quant_of(header: GgufHeader) -> str:
    """The file type that the header names, such as Q4_K_M; else the tensor type that takes most of the file."""
    from gguf import GGMLQuantizationType, LlamaFileType

    number = header.values.get("general.file_type")
    file_types = {file_type.value: file_type.name for file_type in LlamaFileType}
    if isinstance(number, int) and number in file_types:
        return file_types[number].removeprefix("MOSTLY_").removeprefix("ALL_")
    sizes: Counter[int] = Counter()
    for tensor in header.tensors:
        sizes[tensor.type_id] += tensor.size_bytes
    types = {tensor_type.value: tensor_type.name for tensor_type in GGMLQuantizationType}
    return next((types.get(type_id, f"type {type_id}") for type_id, _ in sizes.most_common(1)), "")


def _license(reference: ModelReference, header: GgufHeader) -> str:
    """The catalog's words where there are some, since they name the base model's licence too."""
    recorded = reference.local.manifest.license if reference.local else ""
    return (reference.size.license if reference.size else "") or recorded or header.texts.get("general.license", "")
