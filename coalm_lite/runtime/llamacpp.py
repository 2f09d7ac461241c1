"""The llama.cpp engine, on llama-cpp-python's low-level API. The only file that imports `llama_cpp`.

Covers loading (after `model_file` looked at the file), tokenizing, decoding with reuse of the KV cache, cancelling, and
grammars; `runtime.base` says what each method promises. One sequence, one context. GPU builds are used through
`gpu_layers`; multimodal and encoder models are refused. Import it only where a model is loaded: it takes 0.3 s.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import llama_cpp.llama_cpp as native
import numpy as np

from coalm_lite.errors import DecodingError, ModelError, UsageError
from coalm_lite.runtime.base import Cancel, Cancelled, Prefill, check_room, common_prefix_length
from coalm_lite.runtime.llama_log import LlamaLog
from coalm_lite.runtime.model_file import check_model_file, trained_context_tokens
from coalm_lite.runtime.one_thread import OneThread
from coalm_lite.runtime.options import DEFAULT_BATCH_TOKENS, EngineOptions, choose_options, this_machine
from coalm_lite.runtime.token_texts import TokenTexts
from coalm_lite.runtime.utf8 import unfinished
from coalm_lite.types import ModelInfo, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

_SEQUENCE = 0
_TO_THE_END = -1
_ABORTED = 2
_SPECIAL = native.LLAMA_TOKEN_ATTR_UNKNOWN | native.LLAMA_TOKEN_ATTR_CONTROL
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data
_MANY = 4096  # tokens; asking about fewer one by one is cheaper than about the whole vocabulary once
_FLASH_ATTENTION = {
    None: native.LLAMA_FLASH_ATTN_TYPE_AUTO,
    True: native.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    False: native.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_GRAMMAR_HINT = "It comes from the tools in use: find the one at fault by leaving them out in turn, and report it."
_log = LlamaLog()
_take_log = native.llama_log_callback(_log.take)  # held here: llama.cpp keeps only its address


@cache
def _start_llama() -> Callable[..., object]:
    """Start the library once; returns the abort callback.

    The callback runs after every node of the compute graph, several hundred times a token, on a thread of llama.cpp's;
    one written in Python would wait for the interpreter's lock each time. C's `strlen` has the right shape: it takes
    the data pointer and returns 0, false, until `Cancel` has put a character there.
    """
    native.llama_log_set(_take_log, ctypes.c_void_p(0))
    native.llama_backend_init()
    c_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(c_library.strlen, native.ggml_abort_callback)


def llama_build() -> tuple[str, bool]:
    """What the build says of its CPU features, as `AVX2 = 1 | FMA = 1 |`, and whether it can use a GPU."""
    return native.llama_print_system_info().decode(errors="replace"), native.llama_supports_gpu_offload()


class LlamaEngine:
    """An `Engine` on llama.cpp. Make one with `load`, free it with `close` or a `with` block."""

    def __init__(self, path: Path, texts: dict[str, str], options: EngineOptions) -> None:
        """Load a file that `check_model_file` let pass; `texts` are its string metadata."""
        self.options = options
        self._abort = _start_llama()
        # Again for each engine: whoever else uses llama_cpp in this process may have set a callback since.
        native.llama_log_set(_take_log, ctypes.c_void_p(0))
        self._door = OneThread()
        self._held: list[int] = []
        self._logits_ready = False
        with ExitStack() as undo:
            model = _open_model(path, options)
            undo.callback(native.llama_model_free, model)
            self._context = _open_context(path, model, options)
            undo.callback(native.llama_free, self._context)
            self._memory = native.llama_get_memory(self._context)
            if not self._memory:
                raise _cannot_write(path)
            self._vocabulary = _Vocabulary(native.llama_model_get_vocab(model))
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
        _start_llama()
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
        tokens: list[int] = []
        with self._door:
            for marker, run in groupby(prompt, key=lambda segment: segment.marker):
                texts = [segment.text for segment in run]
                for text in texts if marker else ["".join(texts)]:
                    tokens += self._vocabulary.tokenize(text, marker)
        return tokens

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

    def _decode_batch(self, tokens: NDArray[np.int32], cancel: Cancel) -> None:
        """Compute one batch behind what is held, with logits for its last token; a failed one leaves nothing behind."""
        self._logits_ready = False
        positions = np.arange(len(self._held), len(self._held) + len(tokens), dtype=np.int32)
        batch = native.llama_batch(
            n_tokens=len(tokens),
            token=tokens.ctypes.data_as(ctypes.POINTER(native.llama_token)),
            pos=positions.ctypes.data_as(ctypes.POINTER(native.llama_pos)),
        )
        _log.forget()
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
            f"llama.cpp failed to compute {len(tokens)} tokens after {len(self._held)} (status {status}){_log.reason}"
        )

    def logits(self) -> Logits:
        """A copy of the logits after the last token, shape [vocabulary]."""
        with self._door:
            pointer = native.llama_get_logits_ith(self._context, -1) if self._logits_ready else None
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


class LlamaConstraint:
    """A `Constraint` on llama.cpp's grammar sampler that refuses a little more than it does.

    Refused as well are special tokens other than end tokens, which llama.cpp matches by their names, as text that
    nobody gets to see, and bytes that are no UTF-8, some of which it takes for characters.
    """

    def __init__(self, gbnf: str, vocabulary: _Vocabulary, door: OneThread) -> None:
        self._vocabulary = vocabulary
        self._door = door
        self._allowed: int | None = None  # a token known to pass here, so that `accept` need not ask again
        self._unfinished = b""  # the bytes of the character that the text ends within
        with door:
            self._sampler = _open_grammar(vocabulary.pointer, gbnf)
            self._free = weakref.finalize(self, native.llama_sampler_free, self._sampler)

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        with self._door:
            return self._allows(token)

    def _allows(self, token: int) -> bool:
        if not self._vocabulary.texts.may_follow(self._unfinished, token):
            return False
        passes = token == self._allowed or bool(self._passing(np.array([token], dtype=np.int32))[0])
        self._allowed = token if passes else self._allowed
        return passes

    def _passing(self, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of `tokens` the grammar lets pass."""
        if not self._free.alive:
            raise DecodingError("the constraint is closed")
        candidates = np.zeros(len(tokens), dtype=_CANDIDATE)
        candidates["id"] = tokens
        data = candidates.ctypes.data_as(native.llama_token_data_p)
        array = native.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
        native.llama_sampler_apply(self._sampler, ctypes.byref(array))
        refused: NDArray[np.bool_] = np.isneginf(candidates["logit"])
        return ~refused

    def mask(self, logits: Logits) -> Logits:
        """A new array with -inf for every refused token; 14 to 70 ms for a vocabulary of 128,256."""
        with self._door:
            passing = self._passing(np.arange(self._vocabulary.size, dtype=np.int32))
            if not self._unfinished and passing.sum() > _MANY:
                passing &= self._vocabulary.texts.first_tokens
            else:
                for token in np.flatnonzero(passing):
                    passing[token] = self._vocabulary.texts.may_follow(self._unfinished, int(token))
        return np.where(passing, logits, np.float32(-np.inf))

    def accept(self, token: int) -> None:
        """Move on by `token`; asks first, since llama.cpp ends the process over a token that it refuses."""
        with self._door:
            if not self._allows(token):
                raise DecodingError(f"the grammar does not allow token {token} here")
            native.llama_sampler_accept(self._sampler, token)
            self._unfinished = unfinished(self._unfinished + self._vocabulary.texts.piece(token)) or b""
            self._allowed = None

    def finished(self) -> bool:
        """Whether only an end token may follow: asked of the tokens that any further text could begin with."""
        with self._door:
            end = native.llama_vocab_eos(self._vocabulary.pointer)
            return end >= 0 and self._allows(end) and not self._passing(self._vocabulary.texts.openers).any()

    def close(self) -> None:
        """Free the grammar; a second call does nothing."""
        self._free()


class _Vocabulary:
    """A model's tokens, through llama.cpp. Its user holds the engine's door."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        self.size: int = native.llama_vocab_n_tokens(pointer)
        self.texts = TokenTexts(self.size, self._read_piece, self.is_end)

    def tokenize(self, text: str, marker: bool) -> list[int]:
        """The tokens of one text; ModelError for a marker without a special token."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            bad = text[error.start]
            raise UsageError(f"the prompt holds {bad!r}, which is no character", "Write it as UTF-8 text.") from error
        room = (native.llama_token * (len(data) + 2))()  # a token has a byte or more
        count = native.llama_tokenize(self.pointer, data, len(data), room, len(room), False, marker)
        tokens: list[int] = room[: max(count, 0)]
        if marker and not any(self.is_special(token) for token in tokens):
            raise ModelError(
                f"the model's vocabulary has no special token {text!r}",
                "CoALM's prompts cannot be written for it; use a CoALM model or another one of the Llama 3 family.",
            )
        return tokens

    def _read_piece(self, token: int) -> bytes:
        size = native.llama_token_to_piece(self.pointer, self._checked(token), None, 0, 0, False)
        room = ctypes.create_string_buffer(max(-size, 1))
        native.llama_token_to_piece(self.pointer, token, room, len(room), 0, False)
        return room.raw[:-size]

    def is_end(self, token: int) -> bool:
        return bool(native.llama_vocab_is_eog(self.pointer, self._checked(token)))

    def is_special(self, token: int) -> bool:
        return bool(native.llama_vocab_get_attr(self.pointer, token) & _SPECIAL)

    def _checked(self, token: int) -> int:
        if not 0 <= token < self.size:
            raise DecodingError(f"token {token} is outside the vocabulary of {self.size} tokens")
        return token


def _open_model(path: Path, options: EngineOptions) -> int:
    parameters = native.llama_model_default_params()
    parameters.n_gpu_layers = options.gpu_layers
    _log.forget()
    model: int | None = native.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path}{_log.reason}",
            "Fetch the file again if it may be damaged; its architecture may also be newer than this llama.cpp.",
        )
    return model


def _open_context(path: Path, model: int, options: EngineOptions) -> int:
    """A context for `model`; ModelError for a model that does not write text, or when memory is short."""
    encodes = native.llama_model_has_encoder(model) or native.llama_model_is_diffusion(model)
    if encodes or not native.llama_model_has_decoder(model):
        raise _cannot_write(path)
    parameters = native.llama_context_default_params()
    parameters.n_ctx = options.context_tokens
    parameters.n_batch = parameters.n_ubatch = options.batch_tokens
    parameters.n_seq_max = 1
    parameters.n_threads, parameters.n_threads_batch = options.threads, options.batch_threads
    parameters.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
    _log.forget()
    context: int | None = native.llama_init_from_model(model, parameters)
    if not context:
        raise ModelError(
            f"llama.cpp cannot make a context of {options.context_tokens} tokens for {path}{_log.reason}",
            "It needs memory for every token: try a smaller --context.",
        )
    return context


def _cannot_write(path: Path) -> ModelError:
    return ModelError(f"{path} does not write text token by token", "Choose a model such as CoALM-8B in GGUF form.")


def _open_grammar(vocabulary: int, gbnf: str) -> ctypes._Pointer[native.llama_sampler]:
    _log.forget()
    if not gbnf.strip() or "\0" in gbnf:  # llama.cpp takes an empty grammar for no grammar
        raise DecodingError("the grammar is empty or holds a NUL character")
    sampler: ctypes._Pointer[native.llama_sampler] = native.llama_sampler_init_grammar(
        vocabulary, gbnf.encode(), b"root"
    )
    if not sampler:  # a null pointer, not None
        raise DecodingError(f"llama.cpp cannot compile the grammar{_log.reason}", _GRAMMAR_HINT)
    return sampler
