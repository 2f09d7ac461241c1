"""The metadata of a GGUF file, read without trusting it: every count and length is held against what is there.

Covers versions 2 and 3, little-endian, as specified in ggml's docs/gguf.md. Nothing is allocated by a claim, and what
is kept is bounded (see the limits below), so that no file, whatever its size, costs more than some 60 MB. Works on a
whole file or on its first bytes; the tensor table is read in `gguf_header`.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from typing import TypeAlias

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_types import ARRAY, SCALARS, STRING, UINT32, UINT64

Value: TypeAlias = "str | int | float | bool"

DAMAGED_HINT = "The file is damaged or was not downloaded completely: fetch it again."
GGUF_HINT = "Give the path of a model in GGUF form; `coalm-lite convert` makes one of a Hugging Face folder."
MAGIC = b"GGUF"
VERSIONS = (2, 3)
VOCABULARY_KEY = "tokenizer.ggml.tokens"

MAX_PAIRS = 1 << 12
_MAX_KEY_BYTES = 65_535
_MAX_KEPT_BYTES = 4 << 20  # keys, texts and tokens together; Llama 3's vocabulary has 1 MB
_MAX_TOKENS = 1 << 18
_MAX_TOKEN_BYTES = 4096
_MAX_STRINGS = 1 << 21  # elements of another array of strings; Llama 3 has 280,147 merges
_SMALLEST_PAIR_BYTES = 8 + 1 + 4 + 1
_SHOWN_CHARACTERS = 60
_U32, _U64 = SCALARS[UINT32], SCALARS[UINT64]


class BytesEnd(Exception):  # noqa: N818 - no error: a caller who gave a file's first bytes expects it
    """The bytes given end here, and the file goes on."""


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array's element type and length; its elements are not kept."""

    type_id: int
    length: int


@dataclass(slots=True)
class Metadata:
    """What was read so far: scalars with their type ids, arrays, and the vocabulary's tokens.

    `text_spans` has where each text lies in the file: its first byte and its length in bytes.
    """

    values: dict[str, Value] = field(default_factory=dict)
    type_ids: dict[str, int] = field(default_factory=dict)
    text_spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    arrays: dict[str, ArrayInfo] = field(default_factory=dict)
    vocabulary: tuple[bytes, ...] = ()


def quoted(value: object) -> str:
    """`value` as Python writes it, safe for a terminal, and cut when it is long."""
    text = repr(value[: 2 * _SHOWN_CHARACTERS] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


class GgufReader:
    """A place in the file that only moves forward, and only over bytes that are there."""

    def __init__(self, data: mmap.mmap | bytes, name: str, file_bytes: int) -> None:
        """Read `data`, the first bytes of the file `name` that has `file_bytes`; BytesEnd where they do not suffice."""
        self._data = data
        self._name_shown = name
        self._there = len(data)
        self._end = file_bytes
        self._room = _MAX_KEPT_BYTES
        self.position = 0
        self.metadata = Metadata()

    def fail(self, problem: str) -> ModelError:
        """The error for a `problem` at the present place."""
        return ModelError(f"{self._name_shown}: byte {self.position}: {problem}", DAMAGED_HINT)

    def version(self) -> int:
        """The version behind the magic letters."""
        if self._data[: len(MAGIC)] != MAGIC:
            raise ModelError(
                f"{self._name_shown} is not a GGUF file: it does not begin with the letters GGUF", GGUF_HINT
            )
        self.position = len(MAGIC)
        version = self.number(_U32, "version")
        if version not in VERSIONS:
            raise ModelError(
                f"{self._name_shown} is GGUF version {version}; versions 2 and 3 can be read", DAMAGED_HINT
            )
        return version

    def read_metadata(self, tensor_bytes: int, max_tensors: int) -> int:
        """Read all pairs into `metadata`; returns the number of tensors, each of which takes `tensor_bytes` or more."""
        tensors = self.count("tensors", tensor_bytes, max_tensors)
        for index in range(self.count("metadata entries", _SMALLEST_PAIR_BYTES, MAX_PAIRS)):
            self._pair(index)
        return tensors

    def _skip(self, length: int, what: str) -> int:
        """The position before a step of `length` bytes."""
        if length > self._end - self.position:
            raise self.fail(f"{what} needs {length} bytes, and the file ends after {self._end - self.position} more")
        if length > self._there - self.position:
            raise BytesEnd
        self.position += length
        return self.position - length

    def number(self, form: struct.Struct, what: str) -> int:
        """The next number."""
        value: int = form.unpack_from(self._data, self._skip(form.size, what))[0]
        return value

    def count(self, what: str, smallest_bytes: int, limit: int | None = None) -> int:
        """The next count of things that take `smallest_bytes` or more each."""
        count = self.number(_U64, f"the number of {what}")
        if count > (self._end - self.position) // smallest_bytes:
            raise self.fail(f"{count} {what} cannot be in a file of {self._end} bytes")
        if limit is not None and count > limit:
            raise self.fail(f"{count} {what} are more than the {limit} that are allowed")
        return count

    def text_bytes(self, limit: int, what: str) -> bytes:
        """The next string, which counts against what may be kept."""
        length = self.number(_U64, f"the length of {what}")
        if length > min(limit, self._room):
            raise self.fail(f"{what} has {length} bytes, more than {min(limit, self._room)}")
        start = self._skip(length, what)
        self._room -= length
        return self._data[start : start + length]

    def name(self, limit: int, what: str) -> str:
        """The next string as a name: UTF-8 without NUL, at which llama.cpp would end it."""
        data = self.text_bytes(limit, what)
        if b"\0" in data:
            raise self.fail(f"{what} holds a NUL character")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is not UTF-8") from error

    def _pair(self, index: int) -> None:
        metadata = self.metadata
        key = self.name(_MAX_KEY_BYTES, f"the key of metadata entry {index}")
        if not key or key in metadata.values or key in metadata.arrays:
            raise self.fail(f"metadata entry {index} has the key {quoted(key)}, empty or a second time")
        type_id = self.number(_U32, f"the type of {quoted(key)}")
        if type_id == ARRAY:
            self._array(key)
        elif type_id == STRING:
            text = self.text_bytes(_MAX_KEPT_BYTES, f"the value of {quoted(key)}")
            metadata.values[key] = text.decode(errors="replace")
            metadata.text_spans[key] = (self.position - len(text), len(text))
        else:
            form = self._scalar(type_id, key)
            metadata.values[key] = form.unpack_from(self._data, self._skip(form.size, quoted(key)))[0]
        metadata.type_ids[key] = type_id

    def _scalar(self, type_id: int, key: str) -> struct.Struct:
        form = SCALARS.get(type_id)
        if form is None:
            raise self.fail(f"{quoted(key)} has the unknown type {type_id}")
        return form

    def _array(self, key: str) -> None:
        """Step over an array; what is known of it is noted first, as its elements may lie behind the bytes given."""
        type_id = self.number(_U32, f"the element type of {quoted(key)}")
        form = _U64 if type_id == STRING else self._scalar(type_id, key)
        limit = (_MAX_TOKENS if key == VOCABULARY_KEY else _MAX_STRINGS) if type_id == STRING else None
        length = self.count(f"elements of {quoted(key)}", form.size, limit)
        self.metadata.arrays[key] = ArrayInfo(type_id, length)
        if type_id == STRING:
            self._strings(key, length)
        else:
            self._skip(length * form.size, quoted(key))

    def _strings(self, key: str, count: int) -> None:
        """Step over `count` strings, keeping those of the vocabulary. A tight loop: real files have 400,000."""
        data, at, there, end, unpack = self._data, self.position, self._there, self._end, _U64.unpack_from
        kept: list[bytes] | None = [] if key == VOCABULARY_KEY else None
        longest, target = (end, at) if kept is None else (_MAX_TOKEN_BYTES, at)
        for index in range(count):
            start = target = at + 8
            if start > there:
                break
            at = target = start + unpack(data, at)[0]
            if at > end or at - start > longest:
                self.position = start
                raise self.fail(f"element {index} of {quoted(key)} has a length of {at - start} bytes, which cannot be")
            if kept is not None:
                self._room -= at - start
                if self._room < 0:
                    raise self.fail(f"{quoted(key)} has more than the {_MAX_KEPT_BYTES} bytes that all texts may have")
                kept.append(data[start:at])
        self._skip(target - self.position, quoted(key))
        if kept is not None:
            self.metadata.vocabulary = tuple(kept)
