"""Damaged GGUF files, made from whole ones: what `fuzz_header.py` and `mutants.py` draw from.

Two ways. `damaged` changes bytes where the structure lies (lengths, counts, types, offsets) or anywhere, cuts, splices
and doubles; most results are no GGUF file any more. `Parts.changed` takes a file apart, changes entries and tensors
and writes it with right lengths and offsets, so that the result reads well and lies about the model.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace

from coalm_lite.runtime.gguf_types import ARRAY, BLOCKS, SCALARS, STRING

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    255,
    256,
    513,
    65_535,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    (1 << 63) - 1,
)
REALS = (0.0, -0.0, -1e-5, 1e-38, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    b"",
    b"\0",
    b"llama\0x",
    b"qwen2",
    b"gpt2",
    b"llama",
    b"linear",
    b"yarn",
    b"longrope",
    b"none",
    b"\xff",
    b"default",
    b"gpt-2",
)
# Keys that llama.cpp reads of a Llama model and that a whole file may lack; each may be added.
KEYS = (
    "general.alignment",
    "llama.attention.causal",
    "llama.attention.key_length_swa",
    "llama.attention.scale",
    "llama.attention.sliding_window",
    "llama.classifier.output_labels",
    "llama.embedding_length_out",
    "llama.expert_count",
    "llama.expert_group_count",
    "llama.expert_used_count",
    "llama.nextn_predict_layers",
    "llama.pooling_type",
    "llama.rope.scaling.attn_factor",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.original_context_length",
    "llama.rope.scaling.type",
    "split.count",
    "split.no",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.suppress_tokens",
    "tokenizer.ggml.unknown_token_id",
)
_PAIR_HEAD = struct.Struct("<I")


@dataclass(frozen=True)
class Pair:
    """A metadata entry: its key, its type and its value as bytes (an array's type and length among them)."""

    key: bytes
    type_id: int
    value: bytes


@dataclass(frozen=True)
class Tensor:
    """A row of the tensor table without its offset, and the tensor's data."""

    name: bytes
    shape: tuple[int, ...]
    type_id: int
    data: bytes


@dataclass(frozen=True)
class Parts:
    """A whole file taken apart; `starts` are the positions of lengths, counts, types and offsets in it."""

    pairs: tuple[Pair, ...]
    tensors: tuple[Tensor, ...]
    starts: tuple[int, ...]
    data_offset: int

    @classmethod
    def of(cls, data: bytes) -> Parts:
        """The parts of a file that is whole: this trusts it."""
        return _Taker(data).parts()

    def written(self, chance: random.Random | None = None) -> bytes:
        """A file of these parts, aligned to 32; `chance` may write one tensor's offset wrong."""
        head = [b"GGUF", struct.pack("<IQQ", 3, len(self.tensors), len(self.pairs))]
        head += [_string(pair.key) + _PAIR_HEAD.pack(pair.type_id) + pair.value for pair in self.pairs]
        offset, body = 0, []
        wrong = chance.randrange(-40 * len(self.tensors), len(self.tensors)) if chance and self.tensors else -1
        for index, tensor in enumerate(self.tensors):
            told = offset + 32 * (index == wrong)
            head.append(_string(tensor.name) + struct.pack("<I", len(tensor.shape)))
            head.append(struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, tensor.type_id, told))
            body.append(tensor.data + bytes(-len(tensor.data) % 32))
            offset += len(body[-1])
        start = b"".join(head)
        return start + bytes(-len(start) % 32) + b"".join(body)

    def changed(self, chance: random.Random) -> bytes:
        """A file with one to three entries or tensors changed."""
        parts = self
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            parts = chance.choice((_change_pair, _change_pair, _change_pair, _add_pair, _change_tensor))(parts, chance)
        return parts.written(chance)


class _Taker:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._starts: list[int] = []

    def _take(self, form: str) -> int:
        self._starts.append(self._at)
        value: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def _text(self) -> bytes:
        length = self._take("<Q")
        self._at += length
        return self._data[self._at - length : self._at]

    def parts(self) -> Parts:
        self._take("<I")
        tensors, pairs = self._take("<Q"), self._take("<Q")
        read_pairs = tuple(self._pair() for _ in range(pairs))
        rows = [self._row() for _ in range(tensors)]
        data_offset = -(-self._at // 32) * 32
        return Parts(
            read_pairs, tuple(self._tensor(data_offset, *row) for row in rows), tuple(self._starts), data_offset
        )

    def _pair(self) -> Pair:
        key, type_id = self._text(), self._take("<I")
        start = self._at
        self._value(type_id)
        return Pair(key, type_id, self._data[start : self._at])

    def _value(self, type_id: int) -> None:
        if type_id == STRING:
            self._text()
        elif type_id == ARRAY:
            element, length = self._take("<I"), self._take("<Q")
            if element == STRING:
                for _ in range(length):
                    self._text()
            else:
                self._at += SCALARS[element].size * length
        else:
            self._starts.append(self._at)
            self._at += SCALARS[type_id].size

    def _row(self) -> tuple[bytes, tuple[int, ...], int, int]:
        name, dimensions = self._text(), self._take("<I")
        shape = tuple(self._take("<Q") for _ in range(dimensions))
        return name, shape, self._take("<I"), self._take("<Q")

    def _tensor(self, data_offset: int, name: bytes, shape: tuple[int, ...], type_id: int, offset: int) -> Tensor:
        start = data_offset + offset
        return Tensor(name, shape, type_id, self._data[start : start + _size(shape, type_id)])


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _size(shape: tuple[int, ...], type_id: int) -> int:
    elements = 1
    for side in shape:
        elements *= side
    block, size = BLOCKS[type_id]
    return elements // block * size


def _change_pair(parts: Parts, chance: random.Random) -> Parts:
    """Another value, another type, none at all, or another entry's key. Small entries: arrays are `damaged`'s part."""
    index = chance.randrange(len(parts.pairs))
    pair = parts.pairs[index]
    others = parts.pairs[:index], parts.pairs[index + 1 :]
    match chance.randrange(8):
        case 0:
            return replace(parts, pairs=others[0] + others[1])
        case 1:
            key = chance.choice(parts.pairs).key if chance.random() < 0.5 else pair.key + b"\0"
            return replace(parts, pairs=(*others[0], replace(pair, key=key), *others[1]))
        case 2:
            return replace(parts, pairs=(*others[0], _random_pair(pair.key, chance), *others[1]))
        case _:
            return replace(parts, pairs=(*others[0], _near(pair, chance), *others[1]))


def _near(pair: Pair, chance: random.Random) -> Pair:
    """The entry with a value of the same type."""
    if pair.type_id == STRING:
        return replace(pair, value=_string(chance.choice(TEXTS)))
    if pair.type_id == ARRAY:
        element, length = struct.unpack_from("<IQ", pair.value)
        if element == STRING or not length:
            return pair
        values = bytearray(pair.value)
        for _ in range(chance.randrange(1, 4)):
            values[chance.randrange(12, len(values))] = chance.randrange(256)
        return replace(pair, value=bytes(values))
    return replace(pair, value=_number(pair.type_id, chance))


def _number(type_id: int, chance: random.Random) -> bytes:
    form = SCALARS[type_id]
    if type_id in (6, 12):
        return form.pack(chance.choice(REALS) if type_id == 12 or chance.random() < 0.9 else 1.0)
    small = chance.choice(NUMBERS) if chance.random() < 0.7 else chance.randrange(1 << 10)
    return (small % (1 << 8 * form.size)).to_bytes(form.size, "little")


def _random_pair(key: bytes, chance: random.Random) -> Pair:
    type_id = chance.choice((*SCALARS, STRING, ARRAY))
    if type_id == STRING:
        return Pair(key, type_id, _string(chance.choice(TEXTS)))
    if type_id == ARRAY:
        element, length = chance.choice((4, 5, 6, 7)), chance.choice((0, 1, 6, 6, 6))
        body = b"".join(_number(element, chance) if element != 7 else b"\1" for _ in range(length))
        return Pair(key, type_id, struct.pack("<IQ", element, length) + body)
    return Pair(key, type_id, b"\1" if type_id == 7 else _number(type_id, chance))


def _add_pair(parts: Parts, chance: random.Random) -> Parts:
    """One of `KEYS`, at the front or at the end; with the type that llama.cpp expects more often than not."""
    key = chance.choice(KEYS).encode()
    text = b"scaling.type" in key
    real = key.endswith((b"factor", b"scale"))
    usual = Pair(key, 4, _number(4, chance))
    if text:
        usual = Pair(key, STRING, _string(chance.choice(TEXTS)))
    elif real:
        usual = Pair(key, 6, _number(6, chance))
    pair = usual if chance.random() < 0.7 else _random_pair(key, chance)
    return replace(parts, pairs=(pair, *parts.pairs) if chance.random() < 0.5 else (*parts.pairs, pair))


def _change_tensor(parts: Parts, chance: random.Random) -> Parts:
    """One tensor of another type, shape or name, left out, or doubled; its data fitting the new claim."""
    if not parts.tensors:
        return parts
    index = chance.randrange(len(parts.tensors))
    tensor = parts.tensors[index]
    before, after = parts.tensors[:index], parts.tensors[index + 1 :]
    match chance.randrange(8):
        case 0:
            return replace(parts, tensors=before + after)
        case 1:
            return replace(parts, tensors=(*before, replace(tensor, name=chance.choice(parts.tensors).name), *after))
        case 2:
            return replace(parts, tensors=(*parts.tensors, replace(tensor, name=b"rope_freqs.weight")))
        case 3:
            side = chance.choice((1, 32, 64, 128, 256, 512))
            return replace(parts, tensors=(*before, _fitted(tensor, (side, *tensor.shape[1:]), tensor.type_id), *after))
        case _:
            return replace(parts, tensors=(*before, _fitted(tensor, tensor.shape, chance.choice((*BLOCKS,))), *after))


def _fitted(tensor: Tensor, shape: tuple[int, ...], type_id: int) -> Tensor:
    """The tensor with a new shape and type, its data repeated or cut to the new size."""
    size = _size(shape, type_id)
    data = tensor.data or b"\0"
    return replace(tensor, shape=shape, type_id=type_id, data=(data * (size // len(data) + 1))[:size])


def damaged(data: bytes, parts: Parts, chance: random.Random, other: bytes) -> bytes:
    """`data` with bytes changed, cut, doubled, or with a piece of `other` in it, mostly in its header."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        kind = chance.randrange(8)
        place = chance.choice(parts.starts) if chance.random() < 0.7 else chance.randrange(parts.data_offset)
        place = min(place, len(result) - 1)
        if kind < 3:
            result[place] ^= 1 << chance.randrange(8)
        elif kind < 6:
            width = chance.choice((1, 4, 8))
            number = chance.choice(NUMBERS) % (1 << 8 * width)
            result[place : place + width] = number.to_bytes(width, "little")
        elif kind == 6:
            end = min(place + chance.randrange(1, 200), len(result))
            result[place:place] = result[place:end]
        else:
            start = chance.randrange(max(len(other) - 200, 1))
            result[place : place + chance.randrange(200)] = other[start : start + chance.randrange(200)]
        if not result:
            return b""
    if chance.random() < 0.15:
        del result[chance.randrange(len(result)) :]
    return bytes(result)
