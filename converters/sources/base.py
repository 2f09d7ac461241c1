"""What a conversion reads: a model's tensors, what its head is made of, and where it comes from.

Covered: the values that every kind of source gives to `convert`: a checkpoint folder, a repository on the Hub read by
range, a 16- or 32-bit GGUF. Not covered: opening any of them (opening.py does it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from gguf import GGUFValue
from numpy.typing import NDArray

from coalm_lite.converters.sources.hf_config import LlamaConfig
from coalm_lite.converters.sources.weights import Dtype


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source; `sha256` is empty where it is not known without reading the file for it."""

    name: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Where the weights come from: a Hub id or a folder's name, and the revision where there is one.

    `identity`: a text that is another one when the source's bytes may be other ones (paths, sizes, times of change,
    hashes); a conversion that was stopped goes on only from the same identity.
    """

    id: str
    identity: str
    revision: str = ""
    files: Sequence[SourceFile] = ()


class Rows(Protocol):
    """The values of one tensor as they are stored."""

    def raw_blocks(self, rows_per_block: int) -> Iterator[NDArray[np.uint8]]:
        """The bytes of whole rows in order, `rows_per_block` rows at a time, then the rest; a vector is one row.

        A block stays as it is after the next one was asked for: others are still at work on it. Nothing is kept of
        what was handed out, and nothing is read further ahead than one block. Raises ModelError naming file and tensor.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor to convert: `name` is its name in GGUF, `shape` is (row, column), `place` names it in messages.

    `head_rows` above 0: rows are regrouped within each head of that many rows, from Hugging Face's order of rotary
    halves to llama.cpp's pairs.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Dtype
    place: str
    rows: Rows
    head_rows: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointHead:
    """The head comes from the small files in `folder`, whose name is the model's where they give none."""

    folder: Path
    config: LlamaConfig


@dataclass(frozen=True, slots=True)
class GgufHead:
    """The head is a GGUF's own, `keys` in its order; sizes as that file has them."""

    keys: Mapping[str, GGUFValue]
    layers: int
    heads: int
    kv_heads: int


@dataclass(frozen=True, slots=True)
class Source:
    """`tensors`: all that the 16-bit file holds, in its order, computed ones included. `place` is for messages."""

    place: str
    facts: SourceFacts
    tensors: Sequence[SourceTensor]
    head: CheckpointHead | GgufHead
