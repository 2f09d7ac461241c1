"""What the app's process and the engine's say to each other, and the wire: pickled objects over two pipes.

A frame is the length of a pickle (4 bytes, little endian) and the pickle; both ends are programs of the same
installation, one of which started the other, so each trusts what comes. The child's word on a request or errand is a
pair, its number and a str (the next piece of text), a `Generated` or `Failed` (the end), or a `Value` (the result).
"""

from __future__ import annotations

import os
import pickle
import struct
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coalm_lite.decoding.guide import TextGrammar
from coalm_lite.grammar import Grammar
from coalm_lite.grammar.ir import Rules
from coalm_lite.runtime.snapshots import SnapshotFolder
from coalm_lite.types import ModelInfo, Prompt, Sampling

if TYPE_CHECKING:
    from coalm_lite.app.model_spec import ModelSpec

_LENGTH = struct.Struct("<I")
_CHUNK_BYTES = 1 << 16
OPENING = 0  # the number of the model's loading, whose value is `Loaded`


@dataclass(frozen=True, slots=True)
class Open:
    """First of all: the model to load."""

    spec: ModelSpec
    prefixes: SnapshotFolder | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is there."""

    info: ModelInfo
    sequences: int


@dataclass(frozen=True, slots=True)
class Keep:
    """A grammar that requests will name by `key`: GBNF, the rules of one that was compiled here, or another kind."""

    key: int
    grammar: str | RulesAlone | TextGrammar


@dataclass(frozen=True, slots=True)
class RulesAlone:
    """A compiled grammar without its check, which is a function, and which decoding does not ask."""

    rules: Rules

    def grammar(self) -> Grammar:
        """The grammar again; what its rules accept is accepted."""
        return Grammar(self.rules, (), _no_check, "")


def _no_check(_text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Forget:
    """No request will name this grammar any more."""

    key: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; `prompt` and `recorded` are `packed` tokens, `grammar` a key or None."""

    number: int
    prompt: bytes
    sampling: Sampling
    grammar: int | None
    drafts: bool | None
    recorded: bytes
    pieces: bool = True


@dataclass(frozen=True, slots=True)
class Tokenize:
    """An errand: the tokens of a prompt, packed."""

    number: int
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Ready:
    """An errand: have this beginning at hand."""

    number: int
    block: bytes


@dataclass(frozen=True, slots=True)
class Stop:
    """The request or errand of this number is not wanted any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Value:
    """What an errand gave."""

    value: object


@dataclass(frozen=True, slots=True)
class Ping:
    """How far are you?"""


@dataclass(frozen=True, slots=True)
class Pong:
    """So far: a count that grows with native work."""

    progress: int


def packed(tokens: Sequence[int]) -> bytes:
    """Tokens as bytes; TypeError or OverflowError for what is none."""
    return array("i", tokens).tobytes()


def unpacked(data: bytes) -> list[int]:
    """The tokens again."""
    tokens = array("i")
    tokens.frombytes(data)
    return tokens.tolist()


def frame(message: object) -> bytes:
    """The message as it goes over the wire; whatever pickle raises for what cannot travel."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Wire:
    """The two pipes' ends on one side. Any thread may write, one reads."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._writing = threading.Lock()
        self._buffer = bytearray()

    def write(self, framed: bytes) -> None:
        """All of it; OSError when nobody reads any more."""
        with self._writing:
            left = memoryview(framed)
            while left:
                left = left[os.write(self._write_fd, left) :]

    def read(self) -> object:
        """The next message; EOFError when nobody writes any more."""
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        return pickle.loads(self._take(length))

    def _take(self, count: int) -> bytes:
        # Not a BufferedReader: a thread that waits in one when the program ends can make Python abort.
        while len(self._buffer) < count:
            chunk = os.read(self._read_fd, _CHUNK_BYTES)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
