"""A checkpoint in Hugging Face layout as a source: its tensors matched with what its config.json asks for.

Covered: a folder on this machine, and the weights of any place together with a folder of its small files. Not covered:
how the weights are read (weights.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coalm_lite.converters.sources.base import CheckpointHead, Source, SourceFacts, SourceFile, SourceTensor
from coalm_lite.converters.sources.hf_config import (
    Llama3Rope,
    LlamaConfig,
    TensorSpec,
    expected_tensors,
    read_config,
    rope_factors,
)
from coalm_lite.converters.sources.weights import StoredTensor, index_checkpoint
from coalm_lite.errors import ModelError

_OUTPUT = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class _ComputedVector:
    """A tensor that no checkpoint holds."""

    values: NDArray[np.float32]

    def raw_blocks(self, rows_per_block: int) -> Iterator[NDArray[np.uint8]]:
        yield self.values.astype("<f4").view(np.uint8)


def checkpoint_source(folder: Path) -> Source:
    """The checkpoint in `folder`; raises ModelError naming file and tensor when it is damaged or of another kind."""
    config = read_config(folder / "config.json")
    return matched_source(str(folder), folder, config, index_checkpoint(folder), folder_facts(folder))


def matched_source(
    place: str, folder: Path, config: LlamaConfig, stored: Mapping[str, StoredTensor], facts: SourceFacts
) -> Source:
    """`stored` tensors with what they are; `folder` holds config.json, the tokenizer and the model card."""
    tensors = [_tensor(spec, tensor, config) for spec, tensor in _match(place, config, stored)]
    if isinstance(config.rope, Llama3Rope):
        factors = rope_factors(config, config.rope)
        name = "rope_freqs.weight"
        tensors.insert(0, SourceTensor(name, factors.shape, "F32", name, _ComputedVector(factors)))
    return Source(place, facts, tuple(tensors), CheckpointHead(folder, config))


def _tensor(spec: TensorSpec, tensor: StoredTensor, config: LlamaConfig) -> SourceTensor:
    head_rows = config.head_dim if spec.heads else 0
    return SourceTensor(spec.name, spec.shape, tensor.dtype, tensor.place, tensor, head_rows)


def _match(
    place: str, config: LlamaConfig, stored: Mapping[str, StoredTensor]
) -> list[tuple[TensorSpec, StoredTensor]]:
    """The stored tensors with what they are, in the order of the checkpoint; all are there, all have their shape."""
    expected = expected_tensors(config)
    for name in expected:
        if name not in stored and not (name == _OUTPUT and config.tied):
            hint = "Download the checkpoint again; config.json and the weights must belong together."
            raise ModelError(f"{place}: {name} is in no safetensors file", hint)
    matched = []
    for name, tensor in stored.items():
        if name.endswith(".rotary_emb.inv_freq"):
            continue  # old checkpoints carry it; llama.cpp computes it
        spec = expected.get(name)
        if spec is None:
            problem = f"not a tensor of a Llama with {config.layers} layers and no biases"
            raise ModelError(f"{tensor.place}: {problem}", "Only plain Llama checkpoints can be converted.")
        if tensor.shape != spec.shape:
            problem = f"has shape {list(tensor.shape)}, config.json asks for {list(spec.shape)}"
            raise ModelError(f"{tensor.place}: {problem}", "config.json and the weights must belong together.")
        matched.append((spec, tensor))
    return matched


def folder_facts(folder: Path) -> SourceFacts:
    """The folder's files that a conversion may read, with what changes when they change."""
    files, identity = [], [str(folder.absolute())]
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.suffix in (".safetensors", ".json", ".jinja", ".md") and path.is_file():
            status = path.stat()
            files.append(SourceFile(path.name, status.st_size))
            identity.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return SourceFacts(folder.absolute().name, "\n".join(identity), files=tuple(files))
