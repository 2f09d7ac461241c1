"""llama.cpp's KV cache of one or more sequences: what it holds, cutting and sharing, and batches that add to it.

Its user holds the engine's door. A batch that fails or is cancelled leaves nothing behind. Caches that cannot be cut
(recurrent models') are emptied instead, and what is returned says so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.base import Cancel, Cancelled, Stretch, check_room
from coalm_lite.runtime.cells import Cells
from coalm_lite.runtime.llamacpp.library import LOG, native, start_llama, watched_abort
from coalm_lite.runtime.progress import PROGRESS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_TO_THE_END = -1
_ABORTED = 2
_LONG_BATCH_TOKENS = 128  # counting each node of the graph costs 0.2 ms a batch, where nobody holds Python's lock


class _Batch:
    """llama.cpp's form of up to `size` tokens, filled anew for every batch: its arrays are made once.

    They are ctypes arrays: for the few tokens of most batches numpy's take three times as long.
    """

    def __init__(self, size: int) -> None:
        integers, addresses = ctypes.c_int32 * size, ctypes.c_size_t * size
        self._tokens, self._positions, self._owners = integers(), integers(), integers()
        self._wanted = (ctypes.c_int8 * size)()
        first = ctypes.addressof(self._owners)
        places = addresses(*range(first, first + ctypes.sizeof(self._owners), ctypes.sizeof(ctypes.c_int32)))
        self._native = native.llama_batch(
            token=self._tokens,
            pos=self._positions,
            n_seq_id=integers(*[1] * size),
            seq_id=(ctypes.POINTER(ctypes.c_int32) * size).from_buffer(places),
            logits=self._wanted,
        )

    def filled(self, stretches: Sequence[Stretch], starts: Sequence[int]) -> native.llama_batch:
        """The stretches, beginning at the positions `starts`; valid until the next call."""
        at = 0
        for start, stretch in zip(starts, stretches, strict=True):
            count = len(stretch.tokens)
            end = at + count
            self._tokens[at:end] = [*stretch.tokens]
            self._positions[at:end] = [*range(start, start + count)]
            self._owners[at:end] = [stretch.sequence] * count
            self._wanted[at:end] = [0] * count
            for place in stretch.wanted:
                self._wanted[at + place] = 1
            at = end
        self._native.n_tokens = at
        return self._native


class KvCache:
    """The sequences of `context`, whose memory is `memory`; valid as long as they are."""

    def __init__(
        self, context: int, memory: int, sequences: int, capacity: int, batch_tokens: int, vocabulary_size: int
    ) -> None:
        self._context = context
        self._memory = memory
        self._vocabulary_size = vocabulary_size
        self._abort = start_llama()
        self._cells = Cells(sequences, capacity)
        self._batch = _Batch(batch_tokens)
        self._outputs = 0  # rows of logits of the last batch; 0 when the cache changed since

    @property
    def free(self) -> int:
        """How many more tokens fit."""
        return self._cells.free

    def tokens(self, sequence: int) -> list[int]:
        """What `sequence` holds; not to be changed. DecodingError for one that there is not: llama.cpp would abort."""
        if not 0 <= sequence < self._cells.sequences:
            raise DecodingError(f"there is no sequence {sequence} among {self._cells.sequences}")
        return self._cells.tokens(sequence)

    def cut(self, sequence: int, kept: int) -> int:
        """Keep the first `kept` tokens; returns how many are left, 0 for a memory that cannot be cut."""
        self._outputs = 0
        kept = min(kept, len(self.tokens(sequence)))
        if not native.llama_memory_seq_rm(self._memory, sequence, kept, _TO_THE_END):
            native.llama_memory_seq_rm(self._memory, sequence, 0, _TO_THE_END)
            kept = 0
        self._cells.cut(sequence, kept)
        return kept

    def share(self, source: int, target: int, count: int) -> None:
        """Make `target` the first `count` tokens of `source`, which is another one."""
        if source == target or count > len(self.tokens(source)):
            raise DecodingError(f"sequence {target} cannot share {count} tokens of sequence {source}")
        self.cut(target, 0)
        native.llama_memory_seq_cp(self._memory, source, target, 0, count)
        self._cells.share(source, target, count)

    def copy_state(self, sequence: int) -> NDArray[np.uint8]:
        """What llama.cpp holds of `sequence`, as bytes; empty if it fails."""
        self.tokens(sequence)
        size = native.llama_state_seq_get_size(self._context, sequence)
        state = np.empty(size, dtype=np.uint8)
        place = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = native.llama_state_seq_get_data(self._context, place, size, sequence) if size else 0
        return state if written == size else state[:0]

    def restore_state(self, sequence: int, tokens: Sequence[int], state: NDArray[np.uint8]) -> bool:
        """Make `sequence` hold `tokens`, of which `state` is the copy; a state that does not fit leaves it empty."""
        self.cut(sequence, 0)
        if not 0 < len(tokens) <= self.free:
            return False
        LOG.forget()
        place = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        read = native.llama_state_seq_set_data(self._context, place, len(state), sequence)
        last = native.llama_memory_seq_pos_max(self._memory, sequence)
        if read != len(state) or last != len(tokens) - 1:
            native.llama_memory_seq_rm(self._memory, sequence, 0, _TO_THE_END)
            return False
        self._cells.append(sequence, tokens)
        return True

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> None:
        """Append the stretches, each behind its sequence, in one batch; `rows_of` then has their logits."""
        starts = [len(self.tokens(stretch.sequence)) for stretch in stretches]
        count = sum(len(stretch.tokens) for stretch in stretches)
        used = self._cells.capacity - self.free
        check_room(used, count, self._cells.capacity)
        self._outputs = 0
        LOG.forget()
        watched = PROGRESS.watched and count >= _LONG_BATCH_TOKENS
        abort = watched_abort if watched else self._abort
        native.llama_set_abort_callback(self._context, abort, ctypes.c_void_p(cancel.address))
        status = native.llama_decode(self._context, self._batch.filled(stretches, starts)) if count else 0
        PROGRESS.count += 1
        if status == 0:
            for stretch in stretches:
                self._cells.append(stretch.sequence, stretch.tokens)
            self._outputs = sum(len(stretch.wanted) for stretch in stretches)
            return
        for stretch in stretches:
            self.cut(stretch.sequence, len(self.tokens(stretch.sequence)))
        if status == _ABORTED:
            raise Cancelled
        raise DecodingError(f"llama.cpp failed to compute {count} tokens after {used} (status {status}){LOG.reason}")

    def rows_of(self, stretches: Sequence[Stretch]) -> list[NDArray[np.float32]]:
        """Copies of the logits of the stretches that were computed last. Shape [rows, vocabulary] each."""
        counts = [len(stretch.wanted) for stretch in stretches]
        if sum(counts) > self._outputs:
            raise _no_logits()
        every = self._rows() if self._outputs else np.empty((0, self._vocabulary_size), dtype=np.float32)
        starts = accumulate(counts, initial=0)
        return [every[start : start + count].copy() for start, count in zip(starts, counts, strict=False)]

    def last_row(self) -> Logits:
        """A copy of the last batch's last logits."""
        if not self._outputs:
            raise _no_logits()
        row: Logits = self._rows()[-1].copy()
        return row

    def _rows(self) -> NDArray[np.float32]:
        """llama.cpp's own, valid until the next batch."""
        pointer = native.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(self._outputs, self._vocabulary_size))


def _no_logits() -> DecodingError:
    return DecodingError("there are no logits: nothing was computed since the KV cache changed")
