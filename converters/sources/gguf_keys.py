"""All metadata of a GGUF file as gguf-py's values, in the file's order, so that it can be written again as it was.

The header must have been checked (coalm_lite.runtime.model_file), which holds every count and length against the file;
it keeps no arrays, and here they are what is wanted. A text ends at its first NUL, where llama.cpp ends it too.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from gguf import GGUFValue, GGUFValueType

from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_reader import DAMAGED_HINT
from coalm_lite.runtime.gguf_types import SCALARS

_COUNTS = struct.Struct("<4sIQQ")  # letters, version, tensors, pairs
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


def read_keys(path: Path) -> dict[str, GGUFValue]:
    """The metadata of the checked file at `path`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        pairs = _COUNTS.unpack_from(data)[3]
        cursor = _Cursor(data, _COUNTS.size)
        try:
            return dict(cursor.pair() for _ in range(pairs))
        except ValueError as error:  # another file than the one that was checked
            raise ModelError(f"{path}: byte {cursor.position}: {error}", DAMAGED_HINT) from error


@dataclass(slots=True)
class _Cursor:
    """A place in the file, moved by what is read."""

    data: mmap.mmap
    position: int

    def pair(self) -> tuple[str, GGUFValue]:
        key = self._bytes().decode()
        kind = GGUFValueType(self._number(_U32))
        if kind is not GGUFValueType.ARRAY:
            return key, GGUFValue(self._value(kind), kind)
        item_kind, count = GGUFValueType(self._number(_U32)), self._number(_U64)
        if not count:
            # llama-quantize keeps it, gguf-py cannot write it; no converter writes one
            raise ValueError(f"the array {key!r:.80} is empty")
        return key, GGUFValue(self._items(item_kind, count), kind, item_kind)

    def _items(self, kind: GGUFValueType, count: int) -> list[object]:
        if kind is GGUFValueType.STRING:
            return [self._text() for _ in range(count)]
        form = SCALARS[kind]
        items = [value for (value,) in form.iter_unpack(self._take(form.size * count))]
        return items

    def _value(self, kind: GGUFValueType) -> object:
        if kind is GGUFValueType.STRING:
            return self._text()
        form = SCALARS[kind]
        return form.unpack(self._take(form.size))[0]

    def _text(self) -> str | bytes:
        """The next text up to a NUL; bytes that are no UTF-8 stay bytes, which gguf-py writes as they are."""
        raw = self._bytes().partition(b"\0")[0]
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    def _bytes(self) -> bytes:
        return self._take(self._number(_U64))

    def _number(self, form: struct.Struct) -> int:
        number: int = form.unpack(self._take(form.size))[0]
        return number

    def _take(self, count: int) -> bytes:
        if count > len(self.data) - self.position:
            raise ValueError(f"{count} bytes are needed, and the file ends")
        self.position += count
        return self.data[self.position - count : self.position]
