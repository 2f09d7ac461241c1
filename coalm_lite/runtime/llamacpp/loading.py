"""Models and contexts as llama.cpp loads them, with its refusals as errors. Files are checked before (`model_file`)."""

from __future__ import annotations

import os
from pathlib import Path

from coalm_lite.errors import ModelError
from coalm_lite.runtime.llamacpp.library import LOG, loading_goes_on, native
from coalm_lite.runtime.options import EngineOptions

_FLASH_ATTENTION = {
    None: native.LLAMA_FLASH_ATTN_TYPE_AUTO,
    True: native.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    False: native.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


def open_model(path: Path, gpu_layers: int, *, vocabulary_only: bool = False) -> int:
    """llama.cpp's model, to be freed by its user; ModelError with llama.cpp's own reason when it refuses."""
    parameters = native.llama_model_default_params()
    parameters.n_gpu_layers = gpu_layers
    parameters.vocab_only = vocabulary_only
    parameters.progress_callback = loading_goes_on
    LOG.forget()
    model: int | None = native.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path}{LOG.reason}",
            "Fetch the file again if it may be damaged; its architecture may also be newer than this llama.cpp.",
        )
    return model


def open_context(path: Path, model: int, options: EngineOptions, watch: object = None) -> int:
    """A context for `model`; ModelError for a model that does not write text, or when memory is short.

    `watch`: llama.cpp's evaluation callback, to be held by its user as long as the context lives.
    """
    encodes = native.llama_model_has_encoder(model) or native.llama_model_is_diffusion(model)
    if encodes or not native.llama_model_has_decoder(model):
        raise cannot_write(path)
    parameters = native.llama_context_default_params()
    parameters.n_ctx = max(options.room_tokens, options.context_tokens)
    parameters.n_batch = parameters.n_ubatch = options.batch_tokens
    parameters.n_seq_max = options.sequences
    parameters.kv_unified = True  # one room for all sequences, so that a common beginning is held once
    parameters.n_threads, parameters.n_threads_batch = options.threads, options.batch_threads
    parameters.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
    if watch is not None:
        parameters.cb_eval = watch
    LOG.forget()
    context: int | None = native.llama_init_from_model(model, parameters)
    if not context:
        raise ModelError(
            f"llama.cpp cannot make a context of {parameters.n_ctx} tokens for {path}{LOG.reason}",
            "It needs memory for every token: try a smaller --context.",
        )
    return context


def cannot_write(path: Path) -> ModelError:
    """The error for a model that is no generative one."""
    return ModelError(f"{path} does not write text token by token", "Choose a model such as CoALM-8B in GGUF form.")
