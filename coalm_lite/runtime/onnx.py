"""The ONNX engine, on onnxruntime and numpy alone; tokens and grammars come from llama.cpp and `vocabulary.gguf`.

Covers folders as converters/onnx.py writes them (`onnx_folder`), decoding with reuse of the KV cache, and cancelling;
`runtime.base` says what each method promises. The graph makes a new, longer cache with every run, so a token costs a
copy of it. The only file that imports `onnxruntime`; import it only where a model is loaded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import numpy as np

from coalm_lite.errors import DecodingError, MissingExtraError, ModelError
from coalm_lite.runtime.base import Cancel, Cancelled, Constraint, Prefill, check_room, common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaVocabulary
from coalm_lite.runtime.model_file import check_vocabulary_file, trained_context_tokens
from coalm_lite.runtime.one_thread import ClosedAtExit, OneThread
from coalm_lite.runtime.onnx_folder import OnnxFolder, read_onnx_folder
from coalm_lite.runtime.onnx_graph import LOGITS, MASK, POSITIONS, TOKENS, CacheLayout, read_layout
from coalm_lite.runtime.onnx_options import CPU, DIRECTML, cache_device, check_version, choose_providers
from coalm_lite.runtime.options import EngineOptions, choose_options, this_machine
from coalm_lite.types import ModelInfo, Prompt

try:
    import onnxruntime
except ImportError as error:
    raise MissingExtraError(
        f"onnxruntime, which runs ONNX models, cannot be imported: {error}",
        "Install it: pip install 'coalm-lite[onnx]', or onnxruntime alone to run a folder that is there already.",
    ) from error

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from coalm_lite.runtime.base import Logits

# The graph gives the logits of every token of a batch, half a megabyte each with a vocabulary of 128,256.
DEFAULT_BATCH_TOKENS = 128
_FATAL = 4  # the severity from which on onnxruntime writes to standard error; what matters it raises as well
_LOOK_S = 0.02
_REASON_LETTERS = 300
_FOLDER_HINT = "The folder may be damaged: compare it with `coalm-lite verify`, copy it or convert it again."
logger = logging.getLogger("coalm_lite.onnx")
logger.addHandler(logging.NullHandler())


class OnnxEngine(ClosedAtExit):
    """An `Engine` on onnxruntime. Make one with `load`, free it with `close` or a `with` block."""

    def __init__(
        self,
        folder: OnnxFolder,
        vocabulary: LlamaVocabulary,
        options: EngineOptions,
        providers: tuple[str, ...] = (CPU,),
    ) -> None:
        """Load the graph of a folder that was read, beside its vocabulary, which becomes the engine's own."""
        self.options = options
        self._door = OneThread()
        self._held: list[int] = []
        self._logits: Logits | None = None
        self._vocabulary = vocabulary
        session = _open_session(folder, options, providers)
        self.provider: str = session.get_providers()[0]
        self._layout = _layout(folder, session, vocabulary.size)
        self._session: onnxruntime.InferenceSession | None = session
        self._device = cache_device(self.provider)
        self._past = self._empty_cache()
        self._info = ModelInfo(options.context_tokens, vocabulary.size, vocabulary.metadata)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> Self:
        """The model in the folder `path`; what is None is chosen by `choose_options` and `choose_providers`.

        Raises ModelError for a folder that is no generative model, UsageError for options that do not fit,
        MissingExtraError for an old onnxruntime.
        """
        check_version(onnxruntime.__version__)
        folder = read_onnx_folder(path)
        header = check_vocabulary_file(folder.vocabulary)
        providers = choose_providers(onnxruntime.get_available_providers(), gpu_layers)
        options = choose_options(
            this_machine(gpu_offload=False),
            trained_context_tokens(header),
            context_tokens=context_tokens,
            threads=threads,
            batch_tokens=batch_tokens,
        )
        vocabulary = LlamaVocabulary(folder.vocabulary)
        try:
            return cls(folder, vocabulary, options, providers)
        except BaseException:
            vocabulary.close()
            raise

    @property
    def info(self) -> ModelInfo:
        """The context in use, the vocabulary's size and the string metadata of `vocabulary.gguf`."""
        return self._info

    def tokenize(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens; ModelError for a marker that this model's vocabulary does not have."""
        return self._vocabulary.tokenize(prompt)

    def tokenize_beside(self, prompt: Prompt) -> list[int]:
        """As `tokenize`, while another thread computes."""
        return self._vocabulary.tokenize_beside(prompt)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of `token`, b"" for a special one."""
        return self._vocabulary.token_bytes(token)

    def is_end(self, token: int) -> bool:
        """Whether the vocabulary marks `token` as an end of generation."""
        return self._vocabulary.is_end(token)

    def prefill(self, tokens: Sequence[int], cancel: Cancel) -> Prefill:
        """Make the KV cache hold exactly `tokens`, computing what differs and at least the last one."""
        with self._door:
            if not tokens:
                raise DecodingError("a prompt of no tokens cannot be computed")
            check_room(0, len(tokens), self._info.context_tokens)
            kept = min(common_prefix_length(self._held, tokens), len(tokens) - 1)
            self._keep(kept)
            self._decode(tokens[kept:], cancel)
        return Prefill(kept, len(tokens) - kept)

    def extend(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append `tokens`; more than `batch_tokens` of them take several batches."""
        with self._door:
            check_room(len(self._held), len(tokens), self._info.context_tokens)
            self._decode(tokens, cancel)

    def logits_after(self, tokens: Sequence[int], first: int, cancel: Cancel) -> Iterator[Logits]:
        """Make the KV cache hold exactly `tokens`, and yield the logits after each of them from index `first` on.

        All are computed anew, in the same batches each time, so that two models' logits compare token by token.
        """
        with self._door:
            check_room(0, len(tokens), self._info.context_tokens)
            self._check_tokens(tokens)
            self._keep(0)
            self._decode(tokens[:first], cancel)
        step = self.options.batch_tokens
        for start in range(first, len(tokens), step):
            cancel.check()
            with self._door:
                rows = self._decode_batch(np.array(tokens[start : start + step], dtype=np.int64), cancel)
            for row in rows:
                yield row.astype(np.float32)

    def _empty_cache(self) -> list[onnxruntime.OrtValue]:
        nothing = np.zeros((1, self._layout.heads, 0, self._layout.width), dtype=self._layout.dtype)
        return [onnxruntime.OrtValue.ortvalue_from_numpy(nothing) for _ in self._layout.past]

    def _keep(self, count: int) -> None:
        """Cut the KV cache after `count` tokens."""
        self._logits = None
        if count == len(self._held):
            return
        if count:
            cut = (np.ascontiguousarray(part.numpy()[:, :, :count]) for part in self._past)
            self._past = [onnxruntime.OrtValue.ortvalue_from_numpy(part, self._device) for part in cut]
        else:
            self._past = self._empty_cache()
        del self._held[count:]

    def _check_tokens(self, tokens: Sequence[int]) -> None:
        """Refuse what the graph would fail on, or, if negative, count from the end."""
        size = self._info.vocabulary_size
        for token in tokens:
            if not 0 <= token < size:
                raise DecodingError(f"token {token} is outside the vocabulary of {size} tokens")

    def _decode(self, tokens: Sequence[int], cancel: Cancel) -> None:
        self._check_tokens(tokens)
        step = self.options.batch_tokens
        for start in range(0, len(tokens), step):
            cancel.check()
            self._decode_batch(np.array(tokens[start : start + step], dtype=np.int64), cancel)

    def _decode_batch(self, tokens: NDArray[np.int64], cancel: Cancel) -> NDArray[np.floating]:
        """Compute one batch behind what is held; a failed one leaves nothing behind.

        The logits are its last token's; returns those of all, in the graph's type. Shape [tokens, vocabulary].
        """
        self._logits = None
        run = onnxruntime.RunOptions()
        run.log_severity_level = _FATAL
        try:
            binding = self._bound(tokens)
            with _ending(run, cancel, watched=len(tokens) > 1):
                self._open_session.run_with_iobinding(binding, run)
            logits, *past = binding.get_outputs()
            rows: NDArray[np.floating] = logits.numpy()[0]
        except Exception as error:  # onnxruntime's own classes have no common base
            if cancel.is_set:
                raise Cancelled from error
            where = f"{len(tokens)} tokens after {len(self._held)}"
            raise DecodingError(f"onnxruntime failed to compute {where}: {_reason(error)}") from error
        self._past, self._logits = past, rows[-1].astype(np.float32)
        self._held += tokens.tolist()
        return rows

    def _bound(self, tokens: NDArray[np.int64]) -> onnxruntime.IOBinding:
        """The inputs of a run and where its outputs go; the cache goes in and out without a copy on our side."""
        held, count = len(self._held), len(tokens)
        binding = self._open_session.io_binding()
        binding.bind_cpu_input(TOKENS, tokens[np.newaxis])
        binding.bind_cpu_input(MASK, np.ones((1, held + count), dtype=np.int64))
        if self._layout.has_positions:
            binding.bind_cpu_input(POSITIONS, np.arange(held, held + count, dtype=np.int64)[np.newaxis])
        for name, part in zip(self._layout.past, self._past, strict=True):
            binding.bind_ortvalue_input(name, part)
        binding.bind_output(LOGITS)
        for name in self._layout.present:
            binding.bind_output(name, self._device)
        return binding

    @property
    def _open_session(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise DecodingError("the engine is closed", "Load the model again.")
        return self._session

    def logits(self) -> Logits:
        """A copy of the logits after the last token, shape [vocabulary]."""
        with self._door:
            if self._logits is None:
                raise DecodingError("there are no logits: nothing was computed since the KV cache changed")
            return self._logits.copy()

    def constraint(self, gbnf: str) -> Constraint:
        """A fresh constraint for `gbnf`; DecodingError when llama.cpp cannot compile it."""
        return self._vocabulary.constraint(gbnf)

    def close(self) -> None:
        """Free the graph and the vocabulary; raises DecodingError while another thread is inside."""
        if not self._door.closed:
            with self._door:
                self._vocabulary.close()
                self._door.closed = True
                self._session, self._past, self._logits = None, [], None


def _open_session(
    folder: OnnxFolder, options: EngineOptions, providers: tuple[str, ...]
) -> onnxruntime.InferenceSession:
    """The graph, loaded; an accelerator that fails gives way to the CPU, and the log says so."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _FATAL
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.enable_mem_pattern = False  # it plans for shapes that recur, and here each run is longer than the last
    settings.enable_cpu_mem_arena = DIRECTML not in providers
    while True:
        try:
            return onnxruntime.InferenceSession(str(folder.model), settings, providers=list(providers))
        except Exception as error:  # onnxruntime's own classes have no common base
            if providers == (CPU,):
                raise ModelError(f"onnxruntime cannot load {folder.model}: {_reason(error)}", _FOLDER_HINT) from error
            logger.warning("%s cannot run %s, so the CPU does: %s", providers[0], folder.path, _reason(error))
            providers = (CPU,)


def _layout(folder: OnnxFolder, session: onnxruntime.InferenceSession, vocabulary_size: int) -> CacheLayout:
    try:
        layout = read_layout(session.get_inputs(), session.get_outputs())
    except ModelError as error:
        raise ModelError(f"{folder.model}: {error.message}", error.hint) from error
    if layout.vocabulary_size != vocabulary_size:
        raise ModelError(
            f"{folder.model} gives logits of {layout.vocabulary_size} tokens, and {folder.vocabulary.name} has"
            f" {vocabulary_size}",
            "The two files belong to different models: convert the checkpoint again.",
        )
    return layout


@contextmanager
def _ending(run: onnxruntime.RunOptions, cancel: Cancel, watched: bool) -> Iterator[None]:
    """End the run within the block when `cancel` is set; a run of one token is not worth a thread."""
    if not watched:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not cancel.is_set:
            if done.wait(_LOOK_S):
                return
        run.terminate = True

    watcher = threading.Thread(target=watch, name="coalm-lite-onnx-cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _reason(error: Exception) -> str:
    """The first line of onnxruntime's message, without its frame; names in it are the graph's, so none is trusted."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].removeprefix("[ONNXRuntimeError] : ")
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_REASON_LETTERS])
