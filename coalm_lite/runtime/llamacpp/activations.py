"""What the weight matrices of a model are multiplied with: the sums of squares by column, over many tokens.

llama.cpp hands out each node of its compute graph through its evaluation callback. Collected are the inputs of
multiplications with a matrix of a layer (`blk.*`), as llama.cpp's tool llama-imatrix collects them; `output.weight` is
left out, as it does by default. Not covered: mixtures of experts, which are refused.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from coalm_lite.errors import DecodingError, ModelError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.llamacpp.ggml_tensor import F32, GgmlTensor, check_layout, operation, rows, source
from coalm_lite.runtime.llamacpp.library import LOG, native, start_llama, take_log
from coalm_lite.runtime.llamacpp.loading import open_context, open_model
from coalm_lite.runtime.llamacpp.vocabulary import Vocabulary
from coalm_lite.runtime.model_file import check_model_file, trained_context_tokens
from coalm_lite.runtime.one_thread import ClosedAtExit, OneThread
from coalm_lite.runtime.options import EngineOptions, choose_options, this_machine
from coalm_lite.types import Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ABORTED = 2
_LOOK_UP_S = 0.2  # on Windows, Ctrl-C does not end a wait
_LAYER = b"blk."
_FEWEST_TOKENS = 16  # llama-imatrix passes over batches of fewer


@dataclass(slots=True)
class ColumnSquares:
    """The sums so far of one matrix: of the squares of its input, by column, over `tokens` tokens."""

    squares: NDArray[np.float32]
    tokens: int = 0


class ActivationMeter(ClosedAtExit):
    """A model that tokens are sent through, and the `sums` of what its matrices were multiplied with.

    Make one with `load`, free it with `close` or a `with` block. One thread at a time.
    """

    def __init__(self, path: Path, texts: Mapping[str, str], options: EngineOptions) -> None:
        """Load a file that `check_model_file` let pass; `texts` are its string metadata."""
        self.options = options
        self.texts = texts
        self._abort = start_llama()
        take_log()
        self._door = OneThread()
        self._native = threading.Lock()  # held by whoever is in llama.cpp
        self._collector = _Collector()
        self._watch = native.ggml_backend_sched_eval_callback(self._collector.take)
        with ExitStack() as undo:
            model = open_model(path, options.gpu_layers)
            undo.callback(native.llama_model_free, model)
            self._context = open_context(path, model, options, self._watch)
            undo.callback(native.llama_free, self._context)
            self._memory = native.llama_get_memory(self._context)
            vocabulary = native.llama_model_get_vocab(model)
            self._vocabulary = Vocabulary(vocabulary)
            self.first_token: int | None = None
            if native.llama_vocab_get_add_bos(vocabulary):
                self.first_token = native.llama_vocab_bos(vocabulary)
            self._free = weakref.finalize(self, undo.pop_all().close)

    @classmethod
    def load(
        cls, path: Path, *, context_tokens: int, threads: int | None = None, gpu_layers: int | None = None
    ) -> Self:
        """The model at `path`, for chunks of `context_tokens`; ModelError and UsageError as `LlamaEngine.load`."""
        header = check_model_file(path)
        start_llama()
        options = choose_options(
            this_machine(native.llama_supports_gpu_offload()),
            trained_context_tokens(header),
            context_tokens=context_tokens,
            threads=threads,
            gpu_layers=gpu_layers,
        )
        return cls(path, header.texts, replace(options, flash_attention=None))  # as llama-imatrix leaves it

    @property
    def sums(self) -> Mapping[str, ColumnSquares]:
        """By the matrix's name in the file; they grow with each chunk."""
        return self._collector.sums

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, as `LlamaEngine.tokenize` reads it; `first_token` is not added."""
        with self._door:
            return self._vocabulary.tokenize_prompt(prompt)

    def add_chunk(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Send a text through the model and add what its matrices were multiplied with.

        Raises Cancelled, and whatever a signal handler raises meanwhile: some of the chunk may then be in the sums.
        """
        with self._door, ThreadPoolExecutor(1) as pool:
            # Not on this thread: a signal handler's exception would be lost inside a callback that C code calls.
            try:
                computed = pool.submit(self._compute, np.array(tokens, dtype=np.int32), cancel)
                while not computed.done():
                    wait((computed,), _LOOK_UP_S)
                computed.result()
            except BaseException:
                cancel.set()
                with self._native:  # until the other thread has left llama.cpp, or finds the wish to stop first
                    raise

    def _compute(self, tokens: NDArray[np.int32], cancel: Cancel) -> None:
        with self._native:
            cancel.check()
            native.llama_memory_clear(self._memory, True)
            native.llama_set_abort_callback(self._context, self._abort, ctypes.c_void_p(cancel.address))
            for start in range(0, len(tokens), self.options.batch_tokens):
                cancel.check()
                self._decode(tokens[start : start + self.options.batch_tokens], start)

    def _decode(self, tokens: NDArray[np.int32], start: int) -> None:
        """Compute one batch. Logits are asked for at all tokens: the last layer passes over those without."""
        positions = np.arange(start, start + len(tokens), dtype=np.int32)
        wanted = np.ones(len(tokens), dtype=np.int8)
        batch = native.llama_batch(
            n_tokens=len(tokens),
            token=tokens.ctypes.data_as(ctypes.POINTER(native.llama_token)),
            pos=positions.ctypes.data_as(ctypes.POINTER(native.llama_pos)),
            logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        LOG.forget()
        self._collector.begin()
        status = native.llama_decode(self._context, batch)
        self._collector.check()
        if status == _ABORTED:
            raise Cancelled
        if status:
            raise DecodingError(f"llama.cpp failed to compute {len(tokens)} tokens (status {status}){LOG.reason}")
        self._collector.complete()

    def close(self) -> None:
        """Free the context and the weights; raises DecodingError while another thread is inside."""
        if not self._door.closed:
            with self._door, self._native:
                self._door.closed = True
                self._free()


class _Collector:
    """llama.cpp's evaluation callback. An error in it stops the computation and is raised by `check`."""

    def __init__(self) -> None:
        self.sums: dict[str, ColumnSquares] = {}
        self._last = ""  # the matrix after which a graph has nothing more to give
        self._latest = ""
        self._error: Exception | None = None
        self._seen: tuple[int, NDArray[np.float32], int] = (0, np.zeros(0, np.float32), 0)
        self._laid_out = False
        self._product, self._product_of_experts = operation("MUL_MAT"), operation("MUL_MAT_ID")

    def take(self, address: int, ask: bool, _user_data: object) -> bool:
        """Whether the node's data is wanted (`ask`), or else, after it was computed, whether the graph goes on."""
        try:
            return self._wants(address) if ask else self._collect(address)
        except Exception as error:
            self._error = self._error or error
            return False

    def check(self) -> None:
        """Raise the first error that occurred in the callback."""
        if self._error is not None:
            raise self._error

    def begin(self) -> None:
        """A new graph comes, whose tensors may lie where others lay."""
        self._seen = (0, self._seen[1], 0)

    def complete(self) -> None:
        """The graph was computed to its end: its last matrix will be the next one's."""
        self._last = self._latest

    def _wants(self, address: int) -> bool:
        tensor = GgmlTensor.from_address(address)
        if tensor.op == self._product_of_experts:
            raise ModelError("a mixture of experts has no importance matrix here", "Use llama.cpp's llama-imatrix.")
        if tensor.op != self._product or self._error is not None:
            return False
        if not self._laid_out:
            check_layout(address)
            self._laid_out = True
        factor = source(tensor, 1)
        return (
            factor.ne[1] >= _FEWEST_TOKENS and factor.type == F32 and _plain_name(source(tensor, 0)).startswith(_LAYER)
        )

    def _collect(self, address: int) -> bool:
        tensor = GgmlTensor.from_address(address)
        name = _plain_name(source(tensor, 0)).decode()
        squares, tokens = self._squares(tensor.src[1] or 0)
        if name not in self.sums:
            self.sums[name] = ColumnSquares(np.zeros_like(squares))
        entry = self.sums[name]
        entry.squares += squares
        entry.tokens += tokens
        if not np.isfinite(entry.squares).all():
            raise ModelError(f"the input of {name} is no finite number", "The model's weights may be damaged.")
        self._latest = name
        return name != self._last  # the vocabulary's matrix, which would come next, is a fifth of a 1B model's work

    def _squares(self, address: int) -> tuple[NDArray[np.float32], int]:
        """The sums of squares of the tensor at `address`; several matrices in a row share one input."""
        if self._seen[0] != address:
            numbers = rows(GgmlTensor.from_address(address))
            self._seen = (address, np.einsum("ij,ij->j", numbers, numbers), len(numbers))
        return self._seen[1:]


def _plain_name(tensor: GgmlTensor) -> bytes:
    """The name in the file: that of a copy on a device is `CUDA0#name#0`."""
    parts = tensor.name.split(b"#")
    return parts[1] if len(parts) > 1 else parts[0]
