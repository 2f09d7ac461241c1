"""What a model says of itself, with what our record and the catalog add: the facts that `show` prints.

Covered: GGUF files and ONNX folders.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.runtime.chat_template import TEMPLATE_KEY, TemplateCheck, check_template
from coalm_lite.runtime.gguf_header import GgufHeader, Value
from coalm_lite.runtime.model_file import check_model_file, check_vocabulary_file, trained_context_tokens
from coalm_lite.runtime.onnx_folder import OnnxFolder, read_onnx_folder
from coalm_lite.store.local import LocalModel
from coalm_lite.store.names import ModelReference
from coalm_lite.store.provenance import Provenance, Score, parse_provenance, read_provenance

_SOURCE_KEY = "coalm.source"
_SCORE_PREFIX = "coalm.score."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model; "" stands for what nobody has written down.

    `quant` is the file's own word for the types of its weights; `source` is `hf:owner/repo@revision/path` when it was
    pulled, else what the file says. `provenance_problem` says why what stands there as provenance is none.
    `measured`: the scores in our record of a pulled file; those in the file itself stand in its provenance.
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
    provenance: Provenance | None = None
    provenance_problem: str = ""
    measured: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model whose head was checked: a GGUF file's, or that of an ONNX folder's vocabulary."""

    header: GgufHeader
    folder: OnnxFolder | None = None

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return self.folder.parameters if self.folder else sum(prod(tensor.shape) for tensor in self.header.tensors)


def check_model(path: Path) -> CheckedModel:
    """The model at `path`; ModelError for what is none."""
    if not path.is_dir():
        return CheckedModel(check_model_file(path))
    folder = read_onnx_folder(path)
    return CheckedModel(check_vocabulary_file(folder.vocabulary), folder)


def model_facts(reference: ModelReference, model: CheckedModel) -> ModelFacts:
    """The facts of a model that was checked; its chat template is rendered in a child process, with limits."""
    local, header, folder = reference.local, model.header, model.folder
    provenance, problem = _provenance(model)
    return ModelFacts(
        name=reference.name,
        path=reference.path,
        size_bytes=folder.size_bytes if folder else reference.path.stat().st_size,
        architecture=header.texts["general.architecture"],
        parameters=model.parameters,
        quant=folder.recipe if folder else quant_of(header),
        trained_context_tokens=trained_context_tokens(header),
        dialects=reference.dialects(header.texts),
        license=_license(reference, header),
        source=_source(local, header, provenance),
        sha256=local.manifest.sha256 if local else "",
        pulled_at=local.manifest.pulled_at if local else "",
        template=check_template(header.texts.get(TEMPLATE_KEY)),
        scores={
            key.removeprefix(_SCORE_PREFIX): value
            for key, value in header.values.items()
            if key.startswith(_SCORE_PREFIX)
        },
        provenance=provenance,
        provenance_problem=problem,
        measured=parse_provenance(local.manifest.scores).scores if local and local.manifest.scores else (),
    )


def _provenance(model: CheckedModel) -> tuple[Provenance | None, str]:
    """What the model tells of its making, and what is wrong with it."""
    try:
        if model.folder:
            return parse_provenance(json.dumps({"format": 1, **model.folder.provenance})), ""
        return read_provenance(model.header), ""
    except StoreError as error:
        return None, error.message


def _source(local: LocalModel | None, header: GgufHeader, provenance: Provenance | None) -> str:
    """A pulled file's place; what any other one tells, a built one among them, as it lies in no repository."""
    if local is not None and not local.manifest.converter:
        return local.place
    told = header.texts.get(_SOURCE_KEY, "")
    if told or provenance is None:
        return told
    return f"{provenance.source}@{provenance.revision}" if provenance.revision else provenance.source


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
