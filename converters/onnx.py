"""A Llama checkpoint in Hugging Face layout to an ONNX folder that `runtime/onnx.py` runs without torch.

Covered: fp32 and fp16 (optimum's export with KV cache), int8 (dynamic, a scale for each output column) and int4
(MatMulNBits, asymmetric, in blocks of 32 or 128); beside the graph its vocabulary and chat template as a GGUF without
tensors, the tokenizer files and `coalm.json` (runtime/onnx_folder.py has its form). The folder appears complete or not
at all. Memory and disk are checked first; torch, optimum and onnx run in a child process (onnx_export/child.py), so
that what they print stays out of the user's terminal and their memory is free again at the end. Not covered: sources
other than a folder on this machine, since optimum needs the whole checkpoint at hand, and going on with a stopped
conversion.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from math import prod
from pathlib import Path
from types import MappingProxyType

import gguf
from gguf import LlamaFileType

from coalm_lite.converters.onnx_export.needs import check_needs, conversion_needs
from coalm_lite.converters.onnx_export.process import EXTRA_HINT, Export, Quantize, run_child
from coalm_lite.converters.onnx_export.work import work_folder
from coalm_lite.converters.sources.base import Source
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.writing.header import Header, check_metadata, header_bytes
from coalm_lite.errors import MissingExtraError, UsageError
from coalm_lite.runtime.chat_template import TEMPLATE_KEY
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.onnx_folder import FORMAT, MODEL_NAME, RECORD_NAME, VOCABULARY_NAME, hash_of_file
from coalm_lite.store.files import store_errors, write_whole
from coalm_lite.store.provenance import Provenance, SourceFile, as_json
from coalm_lite.types import JsonObject, JsonValue

BLOCKS = (32, 128)
EXTERNAL_BYTES = 1_900_000_000  # protobuf ends at 2^31, and the graph itself needs some of it
_PACKAGES = ("torch", "transformers", "optimum", "onnx", "onnxruntime", "onnx_ir")
_VERSIONS = ("coalm-lite", "torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime")
_COPIED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "README.md",
    "LICENSE",
    "NOTICE",
)
_NO_METADATA: Mapping[str, str] = MappingProxyType({})
_ROPE_FACTORS = "rope_freqs.weight"  # computed, no parameter of the model
_FOLDER_HINT = (
    "Download the checkpoint first, as with `hf download OWNER/NAME --local-dir FOLDER`, and give that folder."
)


class OnnxQuant(StrEnum):
    """How the weights are stored."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"

    @property
    def bits(self) -> int:
        """Bits of a weight in a quantized matrix, 0 when none is quantized."""
        return {OnnxQuant.INT8: 8, OnnxQuant.INT4: 4}.get(self, 0)


@dataclass(frozen=True, slots=True)
class OnnxReport:
    """What was written."""

    target: Path
    quant: OnnxQuant
    recipe: str
    parameters: int
    size_bytes: int


def convert_onnx(
    source: Path,
    target: Path,
    quant: OnnxQuant,
    *,
    block: int = BLOCKS[0],
    metadata: Mapping[str, str] = _NO_METADATA,
    external_bytes: int = EXTERNAL_BYTES,
    report: Callable[[str], None] = lambda _stage: None,
) -> OnnxReport:
    """Writes the checkpoint folder `source` to the folder `target`, which must not exist, and reports what it wrote.

    `metadata`: text keys (`general.` or `coalm.`) for the vocabulary's GGUF, as the converter to GGUF takes them.
    A quantized graph whose weights pass `external_bytes` has them in a second file. `report` is told each stage as it
    begins: export, quantize, hash. Raises MissingExtraError without the extra `onnx`, ModelError for a checkpoint that
    is damaged or of another kind and for memory that does not suffice, StoreError for the disk, UsageError for a target
    or block that cannot be.
    """
    check_metadata(metadata)
    if block not in BLOCKS:
        raise UsageError(f"a block of {block} values cannot be", f"Give one of {', '.join(map(str, BLOCKS))}.")
    opened = _opened(source)
    _check_packages()
    parameters, graph_values = _sizes(opened)
    check_needs(conversion_needs(parameters, graph_values, quant is OnnxQuant.FP16, quant.bits), target)
    with work_folder(target) as work:
        _make_graph(source, work, quant, block, external_bytes, report)
        _write_vocabulary(opened, work / VOCABULARY_NAME, parameters, metadata)
        _copy_small_files(source, work)
        report("hash")
        record = _record(opened, source, work, quant, block, parameters)
        write_whole(work / RECORD_NAME, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        size_bytes = sum(path.stat().st_size for path in work.iterdir())
    return OnnxReport(target, quant, _recipe(quant, block), parameters, size_bytes)


def _opened(source: Path) -> Source:
    """The checkpoint in a folder, its config, tensors and shapes checked."""
    if source.is_file():
        raise UsageError(f"{source} is a file, and ONNX is made of a checkpoint's folder", _FOLDER_HINT)
    if not source.is_dir():
        raise UsageError(f"there is no folder {source}, and ONNX is made of a checkpoint on this machine", _FOLDER_HINT)
    return checkpoint_source(source)


def _sizes(source: Source) -> tuple[int, int]:
    """The model's parameters, and how many values its graph holds: a tied output matrix is a second table there."""
    sizes = {tensor.name: prod(tensor.shape) for tensor in source.tensors if tensor.name != _ROPE_FACTORS}
    parameters = sum(sizes.values())
    return parameters, parameters + (0 if "output.weight" in sizes else sizes["token_embd.weight"])


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"converting to ONNX needs {', '.join(missing)}, not installed here", EXTRA_HINT)


def _make_graph(
    source: Path, work: Path, quant: OnnxQuant, block: int, external_bytes: int, report: Callable[[str], None]
) -> None:
    """The graph, and its weights where they are a file of their own, in `work`."""
    exported, temporary = work / "export", work / "temporary"
    with store_errors(work):
        exported.mkdir()
        temporary.mkdir()
    report("export")
    run_child(Export(source=str(source.absolute()), target=str(exported), half=quant is OnnxQuant.FP16), temporary)
    if quant.bits:
        report("quantize")
        graph, target = str(exported / MODEL_NAME), str(work / MODEL_NAME)
        run_child(
            Quantize(source=graph, target=target, bits=quant.bits, block=block, external_bytes=external_bytes),
            temporary,
        )
    with store_errors(work):
        if not quant.bits:
            for path in exported.glob(f"{MODEL_NAME}*"):
                path.rename(work / path.name)
        shutil.rmtree(exported)
        shutil.rmtree(temporary)


def _write_vocabulary(source: Source, path: Path, parameters: int, metadata: Mapping[str, str]) -> None:
    """A GGUF of the checkpoint's keys and vocabulary, without tensors; its size label is the whole model's."""
    label = {"general.size_label": gguf.size_label(parameters, parameters, 0, 0)}
    header = Header(source.head, (), LlamaFileType.ALL_F32, False, label | dict(metadata))
    with store_errors(path):
        path.write_bytes(header_bytes(header))


def _copy_small_files(source: Path, work: Path) -> None:
    with store_errors(work):
        for name in _COPIED:
            if (source / name).is_file():
                shutil.copyfile(source / name, work / name)


def _record(source: Source, folder: Path, work: Path, quant: OnnxQuant, block: int, parameters: int) -> JsonObject:
    """What `coalm.json` holds, the hashes of all other files and of the source's among it."""
    files: list[JsonValue] = [
        {"name": path.name, "size_bytes": path.stat().st_size, "sha256": hash_of_file(path)}
        for path in sorted(work.iterdir())
        if not path.name.startswith(".")
    ]
    return {
        "format": FORMAT,
        "quant": str(quant),
        "recipe": _recipe(quant, block),
        "parameters": parameters,
        "versions": {name: version(name) for name in _VERSIONS},
        "provenance": as_json(_provenance(source, folder, work, quant, block)),
        "files": files,
    }


def _provenance(source: Source, folder: Path, work: Path, quant: OnnxQuant, block: int) -> Provenance:
    facts, texts = source.facts, read_header(work / VOCABULARY_NAME).texts
    template = texts.get(TEMPLATE_KEY)
    return Provenance(
        source=facts.id,
        revision=facts.revision,
        files=tuple(
            SourceFile(name=file.name, size_bytes=file.size_bytes, sha256=hash_of_file(folder / file.name))
            for file in facts.files
        ),
        converter="coalm-lite",
        converter_version=version("coalm-lite"),
        quant=f"{quant} in blocks of {block}" if quant is OnnxQuant.INT4 else str(quant),
        template_sha256=sha256(template.encode()).hexdigest() if template else "",
        license=texts.get("general.license", ""),
    )


def _recipe(quant: OnnxQuant, block: int) -> str:
    match quant:
        case OnnxQuant.INT8:
            return "matrices dynamic uint8, a scale for each output column; token table fp16; the rest fp32"
        case OnnxQuant.INT4:
            return f"matrices MatMulNBits 4 bits, asymmetric, blocks of {block}; token table fp16; the rest fp32"
        case _:
            return f"everything {quant}"
