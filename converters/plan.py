"""What a conversion will take, known before a weight is read: types, size, memory, time.

Covered: a GGUF, a folder, a repository on the Hub, a model of which only the sizes are known; of a folder and on the
Hub config.json and the index are enough, no shard need be there. The size is exact, the head apart where the tokenizer
is not at hand: it is then told from the number of tokens. Memory is the formula below; time is measured on this
machine, in about a second, for each way that a tensor goes. Not covered: what reading from a disk takes, and another
load on the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coalm_lite.converters.calibration.imatrix_file import read_imatrix
from coalm_lite.converters.gguf import imatrix_facts
from coalm_lite.converters.provenance import begun_record, matrix_record
from coalm_lite.converters.sources.base import CheckpointHead, Source, SourceFacts
from coalm_lite.converters.sources.checkpoint import folder_facts, matched_source
from coalm_lite.converters.sources.hf_config import JsonFile, LlamaConfig, expected_tensors, read_config
from coalm_lite.converters.sources.hub import CONFIG_NAME, fetched_folder, remote_facts
from coalm_lite.converters.sources.opening import hub_place, local_source, open_source
from coalm_lite.converters.sources.weights import INDEX_NAME, VALUE_BYTES, Dtype, StoredTensor, read_weight_map
from coalm_lite.converters.writing.header import ALIGNMENT, Header, ImatrixFacts, TensorInfo, header_bytes
from coalm_lite.converters.writing.layout import Layout, PlannedTensor, plan_layout
from coalm_lite.converters.writing.pipeline import AHEAD, Encoder, block_rows, usable_threads
from coalm_lite.converters.writing.quants import Quant
from coalm_lite.errors import ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import SCHEME
from coalm_lite.store.provenance import KEY, reserve

TOKENIZER_NAME = "tokenizer.json"
# Measured with Llama 3's vocabulary: 128,256 tokens and 280,147 merges take 7.81 MB in a head.
_HEAD_BYTES_A_TOKEN = 61
_CARD_BYTES = 8 << 10  # the other keys, the chat template among them
# Measured: Python with numpy and ggml's library takes 55 MiB, making Llama 3's head 155 MiB more; a block is held as it
# was stored, widened, regrouped, rounded and quantized.
_PROCESS_BYTES = 64 << 20
_VOCABULARY_BYTES_A_TOKEN = 1300
_BLOCK_BYTES_A_VALUE = 16
_EMBEDDING, _TIED = "token_embd.weight", "lm_head.weight"
_TRIAL_VALUES = 1 << 18
_TRIALS_S = 1.0
_DTYPES: Mapping[str, Dtype] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_INDEX_HINT = "Download config.json and the index again; they must belong together."


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """What converting takes. `tensors` are in the file's order; `head_is_exact` tells whether `size_bytes` is, too.

    `read_bytes` of weights are read, from the Hub when `is_remote`. `compute_s`: with `threads` busy and a source that
    keeps up; None where it was not measured.
    """

    place: str
    quant: Quant
    tensors: tuple[TensorInfo, ...]
    head_bytes: int
    head_is_exact: bool
    read_bytes: int
    is_remote: bool
    memory_bytes: int
    threads: int
    compute_s: float | None

    @property
    def size_bytes(self) -> int:
        """The file's length."""
        return _aligned(self.head_bytes) + sum(_aligned(info.size_bytes) for info in self.tensors)

    @property
    def parameters(self) -> int:
        """How many numbers there are, computed ones included."""
        return sum(prod(info.shape) for info in self.tensors)


def plan_conversion(
    text: str,
    quant: Quant,
    client: HubClient | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
    imatrix: Path | None = None,
    recorded: bool = False,
    threads: int | None = None,
    measured: bool = True,
) -> ConversionPlan:
    """What `convert` will do with the source that `text` names; `metadata` are the keys that it will be given.

    `recorded`: the file will also have the provenance that `convert_source` writes. `measured`: try how fast this
    machine is. Raises what opening the source raises, as far as what is read shows it.
    """
    with described_source(text, client) as source:
        matrix = read_imatrix(imatrix) if imatrix else None
        story = {KEY: reserve(begun_record(source, str(quant), matrix_record(matrix)))} if recorded else {}
        head = _Head({**(metadata or {}), **story}, imatrix_facts(matrix, imatrix))
        layout = plan_layout(source, quant, matrix is not None)
        return _plan(source, quant, layout, head, threads or usable_threads(), measured)


def plan_sizes(place: str, config: LlamaConfig, quant: Quant) -> ConversionPlan:
    """What converting takes a BF16 checkpoint at `place`, of which no more is known than its sizes."""
    specs = [spec for spec in expected_tensors(config).values() if not (config.tied and spec.source_name == _TIED)]
    file = _Unread(place)
    stored = {spec.source_name: StoredTensor(spec.source_name, file, "BF16", spec.shape, 0) for spec in specs}
    source = matched_source(place, Path(os.devnull), config, stored, SourceFacts(place, place, revision="unknown"))
    return _plan(source, quant, plan_layout(source, quant), _Head(), usable_threads(), measured=True)


def _plan(source: Source, quant: Quant, layout: Layout, head: _Head, threads: int, measured: bool) -> ConversionPlan:
    infos = tuple(tensor.info for tensor in layout.tensors)
    head_bytes, is_exact = _head_bytes(source, layout, infos, head)
    return ConversionPlan(
        place=source.place,
        quant=quant,
        tensors=infos,
        head_bytes=head_bytes,
        head_is_exact=is_exact,
        read_bytes=sum(prod(tensor.shape) * VALUE_BYTES[tensor.dtype] for tensor in source.tensors),
        is_remote=bool(source.facts.revision),
        memory_bytes=memory_bytes(source, threads),
        threads=threads,
        compute_s=_compute_s(layout, threads) if measured else None,
    )


@contextmanager
def described_source(text: str, client: HubClient | None = None) -> Iterator[Source]:
    """The source that `text` names, of which no weight can be read; where there is an index, no shard is looked at."""
    if text.startswith(SCHEME):
        asked = client or HubClient()
        remote = asked.folder(hub_place(text))
        if INDEX_NAME not in remote.entries:  # the one file's header says what is in it
            with open_source(text, asked) as source:
                yield source
            return
        with fetched_folder(remote, asked, (CONFIG_NAME, INDEX_NAME)) as folder:
            yield indexed_source(remote.place, folder, remote_facts(remote, folder))
    elif (Path(text) / INDEX_NAME).is_file():
        yield indexed_source(text, Path(text), folder_facts(Path(text)))
    else:
        yield local_source(text)


def indexed_source(place: str, folder: Path, facts: SourceFacts) -> Source:
    """The checkpoint as its index and config.json describe it: every tensor with the shape that it must have."""
    config = read_config(folder / CONFIG_NAME)
    shapes = {name: spec.shape for name, spec in expected_tensors(config).items()}
    shard_of = read_weight_map(folder / INDEX_NAME)
    dtype = _dtype(folder, [shapes[name] for name in shard_of if name in shapes])
    ordered = sorted(shard_of, key=lambda name: (shard_of[name], name))
    stored = {
        name: StoredTensor(name, _Unread(str(folder / shard_of[name])), dtype, shapes.get(name, ()), 0)
        for name in ordered
    }
    return matched_source(place, folder, config, stored, facts)


@dataclass(frozen=True, slots=True)
class _Head:
    """What the head says beside the source's own words."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    imatrix: ImatrixFacts | None = None


@dataclass(frozen=True, slots=True)
class _Unread:
    """A file that need not be there."""

    name: str
    size_bytes: int = 0

    def pieces(self, offset: int, sizes: Iterable[int]) -> Iterator[bytearray]:
        raise ModelError(f"{self.name}: a plan reads no weights")


def _dtype(folder: Path, shapes: list[tuple[int, ...]]) -> Dtype:
    """The type of the weights: config.json's word, unless the size that the index tells asks for another width."""
    config, index = JsonFile.read(folder / CONFIG_NAME), JsonFile.read(folder / INDEX_NAME)
    told = _DTYPES.get(str(config.data.get("dtype") or config.data.get("torch_dtype")), "BF16")
    total = index.child("metadata").data.get("total_size")
    values = sum(map(prod, shapes))
    if not isinstance(total, int) or total == values * VALUE_BYTES[told]:
        return told
    if total not in (2 * values, 4 * values):
        problem = f"metadata.total_size = {total}, and config.json's {values} weights take {2 * values} or {4 * values}"
        raise ModelError(f"{index.path}: {problem}", _INDEX_HINT)
    return "F32" if total == 4 * values else "BF16"


def _head_bytes(source: Source, layout: Layout, infos: tuple[TensorInfo, ...], extra: _Head) -> tuple[int, bool]:
    """The head's length, and whether it is exact."""
    head, metadata = source.head, extra.metadata
    if isinstance(head, CheckpointHead) and not (head.folder / TOKENIZER_NAME).is_file():
        table = sum(24 + 8 * len(info.shape) + len(info.name) for info in infos)
        keys = sum(20 + len(key.encode()) + len(value.encode()) for key, value in metadata.items())
        return head.config.vocab_size * _HEAD_BYTES_A_TOKEN + _CARD_BYTES + table + keys, False
    header = Header(head, infos, layout.file_type, layout.requantized, metadata, extra.imatrix)
    return len(header_bytes(header)), True


def memory_bytes(source: Source, threads: int) -> int:
    """The most that a conversion takes: the process, the vocabulary while the head is made, and blocks of rows."""
    tokens = next(tensor.shape[0] for tensor in source.tensors if tensor.name == _EMBEDDING)
    block_values = max(min(block_rows(it) * it.shape[-1], prod(it.shape)) for it in source.tensors)
    blocks = (threads + AHEAD) * block_values * _BLOCK_BYTES_A_VALUE
    return _PROCESS_BYTES + tokens * _VOCABULARY_BYTES_A_TOKEN + blocks


def _compute_s(layout: Layout, threads: int) -> float:
    """How long encoding takes with all threads busy, from trying each way that tensors go on some rows."""
    ways: dict[tuple[object, ...], PlannedTensor] = {}
    values: dict[tuple[object, ...], int] = {}
    for tensor in layout.tensors:
        way = (tensor.info.kind, tensor.source.dtype, tensor.through, bool(tensor.source.head_rows))
        ways.setdefault(way, tensor)
        values[way] = values.get(way, 0) + prod(tensor.info.shape)
    seconds = (values[way] * _value_s(tensor, _TRIALS_S / len(ways)) for way, tensor in ways.items())
    return sum(seconds) / threads


def _value_s(tensor: PlannedTensor, trial_s: float) -> float:
    """Seconds that one value of this tensor takes on one thread."""
    columns, unit = tensor.info.shape[-1], tensor.source.head_rows or 1
    rows = max(1, min(_TRIAL_VALUES, prod(tensor.info.shape)) // columns // unit) * unit
    stored = np.random.default_rng(0).normal(0, 0.02, rows * columns).astype(np.float32)
    raw = _narrow(stored, tensor.source.dtype)
    shape = (rows, columns) if len(tensor.info.shape) > 1 else (columns,)
    trial = replace(tensor, source=replace(tensor.source, shape=shape))
    encoder = Encoder({}, measured=False)
    runs, start_s = 0, time.perf_counter()
    while not runs or time.perf_counter() - start_s < trial_s:
        encoder.encode(trial, raw, 0, is_last=True)
        runs += 1
    return (time.perf_counter() - start_s) / runs / (rows * columns)


def _narrow(values: NDArray[np.float32], dtype: Dtype) -> NDArray[np.uint8]:
    if dtype == "BF16":
        return (values.view(np.uint32) >> np.uint32(16)).astype("<u2").view(np.uint8)
    return values.astype("<f2" if dtype == "F16" else "<f4").view(np.uint8)


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
