"""llama.cpp's library, started once, with its log taken. The only file that imports `llama_cpp`; others use `native`.

Import it only where a model is loaded: it takes 0.3 s.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import llama_cpp.llama_cpp as native
from llama_cpp._ctypes_extensions import load_shared_library

from coalm_lite.runtime.llama_log import LlamaLog
from coalm_lite.runtime.progress import PROGRESS

__all__ = [
    "LOG",
    "ggml_library",
    "llama_build",
    "loading_goes_on",
    "native",
    "start_llama",
    "take_log",
    "watched_abort",
]

LOG = LlamaLog()
_take_log = native.llama_log_callback(LOG.take)  # held here: llama.cpp keeps only its address


@native.llama_progress_callback  # type: ignore[untyped-decorator]
def loading_goes_on(_share: float, _user_data: object) -> bool:
    """llama.cpp's progress callback, after each tensor: counts, and lets it go on."""
    PROGRESS.count += 1
    return True


@native.ggml_abort_callback  # type: ignore[untyped-decorator]
def watched_abort(address: int) -> bool:
    """As the callback of `start_llama`, and counts: for batches that take so long that Python's part is nothing."""
    PROGRESS.count += 1
    return ctypes.string_at(address, 1) != b"\0"


def take_log() -> None:
    """Have llama.cpp's lines come here; whoever else uses llama_cpp in this process may have set a callback since."""
    native.llama_log_set(_take_log, ctypes.c_void_p(0))


@cache
def start_llama() -> Callable[..., object]:
    """Start the library once; returns the abort callback.

    The callback runs after every node of the compute graph, several hundred times a token, on a thread of llama.cpp's;
    one written in Python would wait for the interpreter's lock each time. C's `strlen` has the right shape: it takes
    the data pointer and returns 0, false, until `Cancel` has put a character there.
    """
    take_log()
    native.llama_backend_init()
    c_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(c_library.strlen, native.ggml_abort_callback)


@cache
def ggml_library() -> ctypes.CDLL:
    """ggml's own library, which llama.cpp brings: what llama-cpp-python has no names for."""
    library: ctypes.CDLL = load_shared_library("ggml-base", native._base_path)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    functions = {
        "ggml_tensor_overhead": (size, []),
        "ggml_get_name": (pointer, [pointer]),
        "ggml_get_data": (pointer, [pointer]),
        "ggml_nbytes": (size, [pointer]),
        "ggml_op_name": (ctypes.c_char_p, [ctypes.c_int]),
        "ggml_backend_buffer_is_host": (ctypes.c_bool, [pointer]),
        "ggml_backend_tensor_get": (None, [pointer, pointer, size, size]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def llama_build() -> tuple[str, bool]:
    """What the build says of its CPU features, as `AVX2 = 1 | FMA = 1 |`, and whether it can use a GPU."""
    return native.llama_print_system_info().decode(errors="replace"), native.llama_supports_gpu_offload()
