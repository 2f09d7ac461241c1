"""The llama.cpp engine, on llama-cpp-python's low-level API.

Covers loading (after `model_file` looked at the file), decoding with reuse of the KV cache, several sequences in one
batch, and cancelling; `runtime.base` says what each method promises. One context, whose room the sequences share. GPU
builds are used through `gpu_layers`; multimodal and encoder models are refused.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Self

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.base import Cancel, Prefill, Stretch, check_room, common_prefix_length
from coalm_lite.runtime.fingerprint import fingerprint
from coalm_lite.runtime.llamacpp.constraint import LlamaConstraint
from coalm_lite.runtime.llamacpp.kv_cache import KvCache
from coalm_lite.runtime.llamacpp.library import native, start_llama, take_log
from coalm_lite.runtime.llamacpp.loading import cannot_write, open_context, open_model
from coalm_lite.runtime.llamacpp.vocabulary import Vocabulary
from coalm_lite.runtime.model_file import check_model_file, trained_context_tokens
from coalm_lite.runtime.one_thread import ClosedAtExit, OneThread
from coalm_lite.runtime.options import (
    DEFAULT_BATCH_TOKENS,
    EngineOptions,
    choose_options,
    exact_where_possible,
    this_machine,
)
from coalm_lite.types import ModelInfo, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_FIRST = 0
_LOGITS_BATCH_TOKENS = 64  # 33 MB of logits at a time with a vocabulary of 128,256


class LlamaEngine(ClosedAtExit):
    """An `Engine` with `ManySequences` on llama.cpp. Make one with `load`, free it with `close` or a `with` block."""

    def __init__(self, path: Path, texts: dict[str, str], options: EngineOptions) -> None:
        """Load a file that `check_model_file` let pass; `texts` are its string metadata."""
        self.options = options
        self._path = path
        start_llama()
        take_log()
        self._door = OneThread()
        with ExitStack() as undo:
            model = open_model(path, options.gpu_layers)
            undo.callback(native.llama_model_free, model)
            self._context = open_context(path, model, options)
            undo.callback(native.llama_free, self._context)
            memory = native.llama_get_memory(self._context)
            if not memory:
                raise cannot_write(path)
            self._can_cut = not (native.llama_model_is_recurrent(model) or native.llama_model_is_hybrid(model))
            self._vocabulary = Vocabulary(native.llama_model_get_vocab(model))
            self._info = ModelInfo(options.context_tokens, self._vocabulary.size, texts)
            room = options.sequences, max(options.room_tokens, options.context_tokens)
            self._cache = KvCache(self._context, memory, *room, options.batch_tokens, self._vocabulary.size)
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
        sequences: int = 1,
        room_tokens: int = 0,
    ) -> Self:
        """The model at `path`; what is None is chosen by `choose_options` (a context of at most 4096 tokens).

        `room_tokens`: what the cache of all sequences together holds, where that is to be more than one context.

        Raises ModelError for a file that is no generative model, UsageError for options that do not fit.
        """
        header = check_model_file(path)
        start_llama()
        machine = this_machine(native.llama_supports_gpu_offload())
        options = choose_options(
            machine,
            trained_context_tokens(header),
            context_tokens=context_tokens,
            threads=threads,
            gpu_layers=gpu_layers,
            batch_tokens=batch_tokens,
            flash_attention=flash_attention,
            sequences=sequences,
            room_tokens=room_tokens,
        )
        types = {tensor.type_id for tensor in header.tensors}
        return cls(path, header.texts, exact_where_possible(options, machine, types))

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

    def tokenize_beside(self, prompt: Prompt) -> list[int]:
        """As `tokenize`, while another thread computes: llama.cpp reads its vocabulary, and changes nothing in it."""
        return self._vocabulary.tokenize_prompt(prompt)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of `token`, b"" for a special one."""
        known = self._vocabulary.texts.known(token)  # asked often, and in no need of the door
        if known is not None:
            return known
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
            same = min(common_prefix_length(self._cache.tokens(_FIRST), tokens), len(tokens) - 1)
            kept = self._cache.cut(_FIRST, same)
            self._decode(tokens[kept:], cancel)
        return Prefill(kept, len(tokens) - kept)

    def extend(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append `tokens`; more than `batch_tokens` of them take several batches."""
        with self._door:
            check_room(len(self._cache.tokens(_FIRST)), len(tokens), self._info.context_tokens)
            self._decode(tokens, cancel)

    def logits_after(self, tokens: Sequence[int], first: int, cancel: Cancel) -> Iterator[Logits]:
        """Make the KV cache hold exactly `tokens`, and yield the logits after each of them from index `first` on.

        All are computed anew, in the same batches each time, so that two models' logits compare token by token.
        """
        with self._door:
            check_room(0, len(tokens), self._info.context_tokens)
            self._cache.cut(_FIRST, 0)
            self._decode(tokens[:first], cancel)
        step = min(_LOGITS_BATCH_TOKENS, self.options.batch_tokens)
        for start in range(first, len(tokens), step):
            cancel.check()
            batch = tokens[start : start + step]
            yield from self.compute([Stretch(_FIRST, batch, range(len(batch)))], cancel)[0]

    def _decode(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append `tokens` to the first sequence; only the last one's logits are computed."""
        step = self.options.batch_tokens
        for start in range(0, len(tokens), step):
            cancel.check()
            batch = tokens[start : start + step]
            wanted = [len(batch) - 1] if start + step >= len(tokens) else []
            self._cache.compute([Stretch(_FIRST, batch, wanted)], cancel)

    def logits(self) -> Logits:
        """A copy of the logits after the last token, shape [vocabulary]."""
        with self._door:
            return self._cache.last_row()

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return self.options.sequences

    @property
    def batch_tokens(self) -> int:
        """How many tokens `compute` takes at most."""
        return self.options.batch_tokens

    @property
    def can_cut(self) -> bool:
        """Whether the model's memory can be cut; a recurrent one's cannot."""
        return self._can_cut

    def held(self, sequence: int) -> Sequence[int]:
        """The tokens of `sequence`; not to be changed."""
        return self._cache.tokens(sequence)

    def free_tokens(self) -> int:
        """How many more tokens fit."""
        return self._cache.free

    def cut(self, sequence: int, count: int) -> int:
        """Keep the first `count` tokens of `sequence` at most; returns how many are left."""
        with self._door:
            return self._cache.cut(sequence, count)

    def share(self, source: int, target: int, count: int) -> None:
        """Make `target` the first `count` tokens of `source`."""
        with self._door:
            self._cache.share(source, target, count)

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> list[Logits]:
        """Append the stretches in one batch; the logits of each, shape [rows, vocabulary]."""
        with self._door:
            cancel.check()
            self._cache.compute(stretches, cancel)
            return self._cache.rows_of(stretches)

    @property
    def state_key(self) -> str:
        """Model, context, types of keys and values (llama.cpp's own choice), version; "" if the file is gone."""
        chosen = self.options
        try:
            model = fingerprint(self._path)
        except OSError:
            return ""
        settings = chosen.context_tokens, chosen.flash_attention, chosen.gpu_layers, "f16"
        return " ".join(map(str, (model, *settings, version("llama-cpp-python"))))

    def copy_state(self) -> NDArray[np.uint8]:
        """The first sequence's keys and values as bytes."""
        with self._door:
            return self._cache.copy_state(_FIRST)

    def restore_state(self, tokens: Sequence[int], state: NDArray[np.uint8]) -> bool:
        """Make the first sequence hold `tokens` again; False, and it is empty, if the state does not fit."""
        with self._door:
            return self._cache.restore_state(_FIRST, tokens, state)

    def constraint(self, gbnf: str) -> LlamaConstraint:
        """A fresh constraint for `gbnf`; DecodingError when llama.cpp cannot compile it."""
        return LlamaConstraint(gbnf, self._vocabulary, self._door)

    def close(self) -> None:
        """Free the context and the weights; raises DecodingError while another thread is inside."""
        if not self._door.closed:
            with self._door:
                self._door.closed = True
                self._free()
