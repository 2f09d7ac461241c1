"""Opens the backend that a name, a path or an address means, with as many answers at once as fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from coalm_lite.errors import UsageError
from coalm_lite.evals.running.backend import DEFAULT_TOP_LOGPROBS, Backend
from coalm_lite.evals.running.local import LocalBackend
from coalm_lite.evals.running.model_story import file_story
from coalm_lite.runtime.options import SMALL_PARAMETERS
from coalm_lite.store.names import ModelReference, is_folder, resolve_model

DEFAULT_PARALLEL = 8
_ROOM_CONTEXTS = 4  # of the common cache: what prompts share is held once, so more answers than these fit
_SERVERS = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """How a model is opened; None is chosen by the model or the machine. `parallel`: answers at once in one process.

    `server_model`, `chat` and `short` (the brief instructions) are for a server alone.
    """

    grammar: bool = True
    top_logprobs: int = DEFAULT_TOP_LOGPROBS
    parallel: int | None = None
    context_tokens: int | None = None
    threads: int | None = None
    server_model: str = ""
    chat: bool = False
    short: bool | None = None


def is_server(model: str) -> bool:
    """Whether a model is named by the address of a server."""
    return model.startswith(_SERVERS)


def trained_dialects(model: str) -> tuple[str, ...]:
    """The dialects that a model tells it was trained on, the usual one first; () of a server, which tells none."""
    if is_server(model):
        return ()
    from coalm_lite.store.facts import check_model

    reference = resolve_model(model)
    return reference.dialects(check_model(reference.path).header.texts)


def is_small(model: str) -> bool:
    """Whether a model on this machine is best run by one process a core, one answer at a time in each.

    By its parameters, which are the same of all its quantized forms.
    """
    if is_server(model):
        return False
    from coalm_lite.store.facts import check_model

    return check_model(resolve_model(model).path).parameters <= SMALL_PARAMETERS


@contextmanager
def open_backend(
    model: str, options: BackendOptions, tell: Callable[[str], object] = lambda words: None
) -> Iterator[Backend]:
    """The backend for a model's name, path or address; closed at the end. `tell` hears of waits for a server."""
    if is_server(model):
        with _remote(model, options, tell) as backend:
            yield backend
        return
    if options.server_model or options.chat or options.short is not None:
        raise UsageError("--model, --chat and --instructions are for a server's model", f"Leave them out with {model}.")
    reference = resolve_model(model)
    opener = _onnx if is_folder(reference.path) else _llama
    with opener(reference, options) as backend:
        yield backend


@contextmanager
def _remote(address: str, options: BackendOptions, tell: Callable[[str], object]) -> Iterator[Backend]:
    from coalm_lite.evals.running.remote import DEFAULT_PARALLEL as PARALLEL
    from coalm_lite.evals.running.remote import RemoteBackend
    from coalm_lite.runtime.remote import RemoteServer

    if options.context_tokens or options.threads:
        raise UsageError("--context and --threads are for models on this machine", f"Leave them out with {address}.")
    parallel = options.parallel or PARALLEL
    with (
        RemoteServer(
            address,
            options.server_model,
            chat=options.chat,
            logprobs=options.top_logprobs,
            parallel=parallel,
            tell=tell,
        ) as server,
        RemoteBackend(server, short=options.short, parallel=parallel) as backend,
    ):
        yield backend


@contextmanager
def _onnx(reference: ModelReference, options: BackendOptions) -> Iterator[Backend]:
    """Onnxruntime holds one sequence: one answer at a time."""
    story = file_story(reference)
    from coalm_lite.runtime.onnx import OnnxEngine

    with (
        OnnxEngine.load(
            reference.path, context_tokens=options.context_tokens, threads=options.threads, gpu_layers=None
        ) as engine,
        LocalBackend(engine, story, grammar=options.grammar, top_logprobs=options.top_logprobs) as backend,
    ):
        yield backend


@contextmanager
def _llama(reference: ModelReference, options: BackendOptions) -> Iterator[Backend]:
    """Runs are compared: a model has one kind of attention, whatever its weights and however many answers at once."""
    story = file_story(reference)
    from coalm_lite.runtime.llamacpp import LlamaEngine
    from coalm_lite.runtime.model_file import check_model_file, trained_context_tokens
    from coalm_lite.runtime.options import DEFAULT_CONTEXT_TOKENS

    small = is_small(str(reference.path))
    parallel = options.parallel or (1 if small else DEFAULT_PARALLEL)
    trained = trained_context_tokens(check_model_file(reference.path))
    context = options.context_tokens or min(trained, DEFAULT_CONTEXT_TOKENS)
    with (
        LlamaEngine.load(
            reference.path,
            context_tokens=options.context_tokens,
            threads=options.threads,
            sequences=parallel,
            room_tokens=context * min(parallel, _ROOM_CONTEXTS),
            flash_attention=not small,
        ) as engine,
        LocalBackend(
            engine, story, grammar=options.grammar, top_logprobs=options.top_logprobs, parallel=parallel
        ) as backend,
    ):
        yield backend
