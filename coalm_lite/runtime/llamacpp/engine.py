"""The llama.cpp engine, on llama-cpp-python's low-level API.

Covers loading (after `model_file` looked at the file), decoding with reuse of the KV cache, and cancelling;
`runtime.base` says what each method promises. One sequence, one context. GPU builds are used through `gpu_layers`;
multimodal and encoder models are refused.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.base import Cancel, Cancelled, Prefill, check_room, common_prefix_length
from coalm_lite.runtime.llamacpp.constraint import LlamaConstraint
from coalm_lite.runtime.llamacpp.library import LOG, native, start_llama, take_log
from coalm_lite.runtime.llamacpp.loading import cannot_write, open_context, open_model
from coalm_lite.runtime.llamacpp.vocabulary import Vocabulary
from coalm_lite.runtime.model_file import check_model_file, trained_context_tokens
from coalm_lite.runtime.one_thread import OneThread
from coalm_lite.runtime.options import DEFAULT_BATCH_TOKENS, EngineOptions, choose_options, this_machine
from coalm_lite.types import ModelInfo, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_SEQUENCE = 0
_TO_THE_END = -1
_ABORTED = 2
_LOGITS_BATCH_TOKENS = 64  # 33 MB of logits at a time with a vocabulary of 128,256


class LlamaEngine:
    """An `Engine` on llama.cpp. Make one with `load`, free it with `close` or a `with` block."""

    def __init__(self, path: Path, texts: dict[str, str], options: EngineOptions) -> None:
        """Load a file that `check_model_file` let pass; `texts` are its string metadata."""
        self.options = options
        self._abort = start_llama()
        take_log()
        self._door = OneThread()
        self._held: list[int] = []
        self._logits_ready = False
        with ExitStack() as undo:
            model = open_model(path, options.gpu_layers)
            undo.callback(native.llama_model_free, model)
            self._context = open_context(path, model, options)
            undo.callback(native.llama_free, self._context)
            self._memory = native.llama_get_memory(self._context)
            if not self._memory:
                raise cannot_write(path)
            self._vocabulary = Vocabulary(native.llama_model_get_vocab(model))
            self._info = ModelInfo(options.context_tokens, self._vocabulary.size, texts)
            # Runs at close, at garbage collection or at exit, whichever comes first, and once.
            self._free = weakref.finalize(self, undo.pop_all().close)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        flash_attention: bool | None = None,
    ) -> Self:
        """The model at `path`; what is None is chosen by `choose_options` (a context of at most 4096 tokens).

        Raises ModelError for a file that is no generative model, UsageError for options that do not fit.
        """
        header = check_model_file(path)
        start_llama()
        options = choose_options(
            this_machine(native.llama_supports_gpu_offload()),
            trained_context_tokens(header),
            context_tokens=context_tokens,
            threads=threads,
            gpu_layers=gpu_layers,
            batch_tokens=batch_tokens,
            flash_attention=flash_attention,
        )
        return cls(path, header.texts, options)

    @property
    def info(self) -> ModelInfo:
        """The context in use, the vocabulary's size and the file's string metadata."""
        return self._info

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens; neighbouring plain segments are read as one text, as in training.

        Raises ModelError for a marker that this model's vocabulary does not have.
        """
        with self._door:
            return self._vocabulary.tokenize_prompt(prompt)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of `token`, b"" for a special one."""
        with self._door:
            return self._vocabulary.texts.piece(token)

    def is_end(self, token: int) -> bool:
        """Whether the vocabulary marks `token` as an end of generation."""
        with self._door:
            return self._vocabulary.is_end(token)

    def prefill(self, tokens: Sequence[int], cancel: Cancel) -> Prefill:
        """Make the KV cache hold exactly `tokens`, computing what differs and at least the last one."""
        with self._door:
            if not tokens:
                raise DecodingError("a prompt of no tokens cannot be computed")
            check_room(0, len(tokens), self._info.context_tokens)
            kept = self._keep(min(common_prefix_length(self._held, tokens), len(tokens) - 1))
            self._decode(tokens[kept:], cancel)
        return Prefill(kept, len(tokens) - kept)

    def extend(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append `tokens`; more than `batch_tokens` of them take several batches."""
        with self._door:
            check_room(len(self._held), len(tokens), self._info.context_tokens)
            self._decode(tokens, cancel)

    def logits_after(self, tokens: Sequence[int], first: int, cancel: Cancel) -> Iterator[Logits]:
        """Make the KV cache hold exactly `tokens`, and yield the logits after each of them from index `first` on.

        What the cache holds of them before `first` is kept. The cuts between batches are the same for every model that
        was asked the same things before.
        """
        with self._door:
            check_room(0, len(tokens), self._info.context_tokens)
            kept = self._keep(min(common_prefix_length(self._held, tokens), first))
            self._decode(tokens[kept:first], cancel)
        step = min(_LOGITS_BATCH_TOKENS, self.options.batch_tokens)
        for start in range(first, len(tokens), step):
            cancel.check()
            batch = np.array(tokens[start : start + step], dtype=np.int32)
            with self._door:
                self._decode_batch(batch, cancel, all_logits=True)
                rows = [self._logits_of(index) for index in range(len(batch))]
            yield from rows

    def _keep(self, count: int) -> int:
        """Cut the KV cache after `count` tokens; returns how many are left, 0 for a memory that cannot be cut."""
        self._logits_ready = False
        if not native.llama_memory_seq_rm(self._memory, _SEQUENCE, count, _TO_THE_END):
            native.llama_memory_clear(self._memory, False)
            count = 0
        del self._held[count:]
        return count

    def _decode(self, tokens: Sequence[int], cancel: Cancel) -> None:
        step = self.options.batch_tokens
        for start in range(0, len(tokens), step):
            cancel.check()
            self._decode_batch(np.array(tokens[start : start + step], dtype=np.int32), cancel)

    def _decode_batch(self, tokens: NDArray[np.int32], cancel: Cancel, all_logits: bool = False) -> None:
        """Compute one batch behind what is held, with logits for its last token; a failed one leaves nothing behind."""
        self._logits_ready = False
        wanted = np.ones(len(tokens), dtype=np.int8)
        positions = np.arange(len(self._held), len(self._held) + len(tokens), dtype=np.int32)
        batch = native.llama_batch(
            n_tokens=len(tokens),
            token=tokens.ctypes.data_as(ctypes.POINTER(native.llama_token)),
            pos=positions.ctypes.data_as(ctypes.POINTER(native.llama_pos)),
            logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)) if all_logits else None,
        )
        LOG.forget()
        native.llama_set_abort_callback(self._context, self._abort, ctypes.c_void_p(cancel.address))
        status = native.llama_decode(self._context, batch)
        if status == 0:
            self._held += tokens.tolist()
            self._logits_ready = True
            return
        self._keep(len(self._held))
        if status == _ABORTED:
            raise Cancelled
        raise DecodingError(
            f"llama.cpp failed to compute {len(tokens)} tokens after {len(self._held)} (status {status}){LOG.reason}"
        )

    def logits(self) -> Logits:
        """A copy of the logits after the last token, shape [vocabulary]."""
        with self._door:
            return self._logits_of(-1)

    def _logits_of(self, index: int) -> Logits:
        """Those after the batch's token at `index`."""
        pointer = native.llama_get_logits_ith(self._context, index) if self._logits_ready else None
        if not pointer:
            raise DecodingError("there are no logits: nothing was computed since the KV cache changed")
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary.size,)).astype(np.float32)

    def constraint(self, gbnf: str) -> LlamaConstraint:
        """A fresh constraint for `gbnf`; DecodingError when llama.cpp cannot compile it."""
        return LlamaConstraint(gbnf, self._vocabulary, self._door)

    def close(self) -> None:
        """Free the context and the weights; raises DecodingError while another thread is inside."""
        if not self._door.closed:
            with self._door:
                self._door.closed = True
                self._free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
