"""The head of a GGUF file for a Llama model: keys and tensor list, in llama.cpp's order.

Covered: what convert_hf_to_gguf.py writes for LlamaForCausalLM, the model card's keys among them (gguf-py reads
README.md, config.json, generation_config.json and the folder's name), what llama-quantize keeps of a GGUF's keys and
adds to them, and provenance keys of the caller. Not covered: tensor data, which follows the head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFValue, GGUFValueType, GGUFWriter, LlamaFileType, RopeScalingType

from coalm_lite.converters.sources.base import CheckpointHead, GgufHead
from coalm_lite.converters.sources.hf_config import JsonFile, LinearRope, LlamaConfig
from coalm_lite.converters.sources.llama_tokenizer import add_vocabulary, read_vocabulary
from coalm_lite.converters.writing.ggml import row_bytes
from coalm_lite.errors import ModelError, UsageError

ALIGNMENT = gguf.GGUF_DEFAULT_ALIGNMENT
_FILE_TYPE, _QUANTIZATION_VERSION = "general.file_type", "general.quantization_version"
_RESERVED = (_FILE_TYPE, _QUANTIZATION_VERSION, "general.architecture", "general.type", "general.alignment")
_SPLIT_KEYS = ("split.no", "split.count", "split.tensors.count")
_OVERRIDE_BYTES = 127
_INTEGER_KINDS = (GGUFValueType.UINT32, GGUFValueType.INT32)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the file lists it; `shape` is (row, column)."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType

    @property
    def size_bytes(self) -> int:
        """Bytes of the data, without the padding to ALIGNMENT that follows it."""
        return prod(self.shape[:-1]) * row_bytes(self.kind, self.shape[-1])


@dataclass(frozen=True, slots=True)
class ImatrixFacts:
    """What the file says of the importance matrix that it was quantized with, `file` being its name."""

    file: str
    datasets: Sequence[str]
    entries: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Header:
    """Everything the head says. `requantized`: keys in the order in which llama-quantize leaves them."""

    source: CheckpointHead | GgufHead
    tensors: Sequence[TensorInfo]
    file_type: LlamaFileType
    requantized: bool
    metadata: Mapping[str, str]
    imatrix: ImatrixFacts | None = None


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raises UsageError for a key that is not the caller's to set."""
    for key in metadata:
        if not key.startswith(("general.", "coalm.")) or key in _RESERVED:
            hint = "Provenance keys begin with general. or coalm. and do not describe the file's layout."
            raise UsageError(f"metadata key {key!r} cannot be set", hint)


def header_bytes(header: Header) -> bytes:
    """The head of the file; tensor data follows at the next multiple of ALIGNMENT."""
    writer = GGUFWriter(path=None, arch="llama")
    for tensor in header.tensors:
        # the writer takes the shape as it is and the type from raw_dtype; the numpy type plays no part
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.size_bytes, tensor.kind)
    if isinstance(header.source, GgufHead):
        _copy_keys(writer, header.source)
    else:
        _add_checkpoint(writer, header, header.source)
    _add_provenance(writer, header)
    with TemporaryDirectory(prefix="coalm-lite-") as folder:
        path = Path(folder) / "head"
        try:
            writer.write_header_to_file(path)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
        finally:
            writer.close()
        return path.read_bytes()


def _copy_keys(writer: GGUFWriter, head: GgufHead) -> None:
    """The keys of a GGUF, without those that say how it was split."""
    alignment = head.keys.get(gguf.Keys.General.ALIGNMENT)
    if alignment is not None and alignment.value != ALIGNMENT:
        hint = f"Only files with the usual alignment of {ALIGNMENT} can be converted."
        raise ModelError(f"the source's {gguf.Keys.General.ALIGNMENT} is {alignment.value!r}", hint)
    writer.kv_data[0].clear()
    writer.kv_data[0].update({key: value for key, value in head.keys.items() if key not in _SPLIT_KEYS})


def _add_checkpoint(writer: GGUFWriter, header: Header, head: CheckpointHead) -> None:
    _add_model_card(writer, header, head.folder)
    _add_sizes(writer, head.config, header.file_type)
    add_vocabulary(writer, read_vocabulary(head.folder, head.config.vocab_size))
    _check_values(writer, head.folder)


def _add_model_card(writer: GGUFWriter, header: Header, folder: Path) -> None:
    parameters = sum(prod(tensor.shape) for tensor in header.tensors)
    # an absolute path has a name to fall back on where `.` has none
    source = folder.absolute()
    generation = source / "generation_config.json"
    sampling = JsonFile.read(generation).data if generation.is_file() else {}
    writer.add_type(gguf.GGUFType.MODEL)
    try:
        card = gguf.Metadata.load(None, source, None, parameters)
        penalty = sampling.get("repetition_penalty")
        if card.sampling_penalty_repeat is None and isinstance(penalty, int | float):
            # llama.cpp's own gguf-py reads this name too, the released one not yet
            card.sampling_penalty_repeat = penalty
        card.name = card.name or source.name
        card.size_label = card.size_label or gguf.size_label(parameters, parameters, 0, 0)
        card.set_gguf_meta_model(writer)
    except Exception as error:  # the YAML reader and the card's shapes fail in many ways; all mean a bad model card
        hint = "Correct the front matter of the model card or leave the card out."
        raise ModelError(f"{source / 'README.md'}: the model card cannot be read: {error}", hint) from error


def _add_sizes(writer: GGUFWriter, config: LlamaConfig, file_type: LlamaFileType) -> None:
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context_tokens)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.feed_forward)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    if isinstance(config.rope, LinearRope):
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope.factor)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_file_type(file_type)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_provenance(writer: GGUFWriter, header: Header) -> None:
    keys = writer.kv_data[0]
    for key, value in header.metadata.items():
        if key in keys and keys[key].type is not GGUFValueType.STRING:
            raise UsageError(f"metadata key {key!r} is no text in this file", "Leave the key out.")
        keys.pop(key, None) if not value else keys.update({key: GGUFValue(value, GGUFValueType.STRING)})
    if header.requantized:
        _add_quantizers_keys(keys, header)


def _add_quantizers_keys(keys: dict[str, GGUFValue], header: Header) -> None:
    """What llama-quantize sets anew, which puts it last."""
    own: dict[str, str | int] = {
        _QUANTIZATION_VERSION: gguf.GGML_QUANT_VERSION,
        _FILE_TYPE: int(header.file_type),
    }
    if header.imatrix is not None:
        own["quantize.imatrix.file"] = _short(header.imatrix.file)
        if header.imatrix.datasets:
            own["quantize.imatrix.dataset"] = _short(header.imatrix.datasets[0])
        own["quantize.imatrix.entries_count"] = header.imatrix.entries
        if header.imatrix.chunks > 0:
            own["quantize.imatrix.chunks_count"] = header.imatrix.chunks
    for key, value in own.items():
        keys.pop(key, None)
        keys[key] = GGUFValue(value, GGUFValueType.STRING if isinstance(value, str) else GGUFValueType.UINT32)


def _short(text: str) -> str:
    """As much of a text as llama-quantize has room for."""
    return text.encode(errors="replace")[:_OVERRIDE_BYTES].decode(errors="ignore")


def _check_values(writer: GGUFWriter, source: Path) -> None:
    """Raises ModelError for a value that its key's type cannot hold; the writer would fail without naming the key."""
    for key, value in writer.kv_data[0].items():
        if not _can_be_stored(value.value, value.type):
            hint = "Correct it in config.json, generation_config.json, the tokenizer files or README.md."
            raise ModelError(f"{source}: {key} = {value.value!r:.80} cannot be stored", hint)


def _can_be_stored(value: object, kind: GGUFValueType) -> bool:
    if kind in _INTEGER_KINDS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    if kind is GGUFValueType.FLOAT32:
        return isinstance(value, int | float) and math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(isinstance(item, int) or _is_encodable(item) for item in value)
    return isinstance(value, bool) if kind is GGUFValueType.BOOL else _is_encodable(value)


def _is_encodable(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False
