"""ggml's own conversion of rows, called by ctypes in the library that llama-cpp-python installs.

Covered: float32 rows to any ggml type, with or without an importance matrix, and back. Not covered: running a model
(runtime/ does that); llama_cpp itself is never imported here, only its folder is looked up.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from coalm_lite.errors import ModelError

_LIBRARY_NAMES = ("libggml-base.so", "libggml-base.dylib", "ggml-base.dll", "libggml-base.dll")


def row_bytes(kind: GGMLQuantizationType, columns: int) -> int:
    """Bytes of one row of `columns` values; `columns` is a multiple of the type's block."""
    block_values, block_bytes = GGML_QUANT_SIZES[kind]
    return columns // block_values * block_bytes


def fits(kind: GGMLQuantizationType, columns: int) -> bool:
    """True when a row of `columns` values is a whole number of the type's blocks."""
    return columns % GGML_QUANT_SIZES[kind][0] == 0


def quantize_rows(
    kind: GGMLQuantizationType, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """The bytes of `rows` (row, column) in ggml's type `kind`, rows one after the other.

    `importance`: how much each column matters, (column,). Bit for bit what llama-quantize writes: it is the same
    function of the same library, and its results do not depend on how rows are divided among calls and threads.
    """
    count, columns = rows.shape
    source = np.ascontiguousarray(rows, dtype=np.float32)
    result = np.empty(count * row_bytes(kind, columns), dtype=np.uint8)
    if importance is not None and (importance.shape != (columns,) or importance.dtype != np.float32):
        raise ValueError(f"importance {importance.dtype}{importance.shape} is not that of {columns} columns")
    weights = None if importance is None else np.ascontiguousarray(importance)
    address = None if weights is None else weights.ctypes.data
    _library().ggml_quantize_chunk(int(kind), source.ctypes.data, result.ctypes.data, 0, count, columns, address)
    return result


def dequantize_into(values: NDArray[np.float32], kind: GGMLQuantizationType, data: NDArray[np.uint8]) -> None:
    """Fill `values` with what `data`, whole blocks of ggml's type `kind`, stands for; both are contiguous.

    Raises ModelError for a type that ggml cannot read back, ValueError when the lengths do not belong together.
    """
    if row_bytes(kind, values.size) != data.nbytes or not fits(kind, values.size):
        raise ValueError(f"{data.nbytes} bytes of {kind.name} are not {values.size} values")
    if kind is GGMLQuantizationType.F32:  # needs no function, and has none
        values[:] = data.view(np.float32)
        return
    to_float = _type_traits(kind).to_float
    if not to_float:
        raise ModelError(f"ggml cannot read {kind.name} back", "Choose another type.")
    to_float(data.ctypes.data, values.ctypes.data, values.size)


class _TypeTraits(ctypes.Structure):
    """`struct ggml_type_traits` of ggml.h in llama-cpp-python 0.3.36; the names let a changed layout be noticed."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block_values", ctypes.c_int64),
        ("block_values_interleaved", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float", ctypes.c_void_p),
    )


@functools.cache
def _type_traits(kind: GGMLQuantizationType) -> _TypeTraits:
    """What ggml knows of a type; ModelError when its table is not laid out as here, so that nothing wild is called."""
    pointer = _library().ggml_get_type_traits(int(kind))
    traits: _TypeTraits = pointer.contents
    if (traits.block_values, traits.block_bytes) != GGML_QUANT_SIZES[kind]:
        raise ModelError(f"ggml's table of types is another one: {kind.name}", "Install llama-cpp-python>=0.3.36,<0.4.")
    return traits


def is_finite(kind: GGMLQuantizationType, data: NDArray[np.uint8]) -> bool:
    """False when a value or a block's scale overflowed in the type; ggml's own check, as llama-quantize makes it."""
    return bool(_library().ggml_validate_row_data(int(kind), data.ctypes.data, data.nbytes))


@functools.cache
def _library() -> ctypes.CDLL:
    folder = _library_folder()
    path = next((folder / name for name in _LIBRARY_NAMES if (folder / name).is_file()), None)
    if path is None:
        raise ModelError(f"{folder} holds no ggml-base library", "Reinstall llama-cpp-python (0.3.36 or newer).")
    if sys.platform == "win32":
        os.add_dll_directory(str(folder))
    library = ctypes.CDLL(str(path))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,  # enum ggml_type
        ctypes.c_void_p,  # const float * source
        ctypes.c_void_p,  # void * result
        ctypes.c_int64,  # first value
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # values a row
        ctypes.c_void_p,  # const float * importance, may be null
    ]
    library.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)
    library.ggml_get_type_traits.argtypes = [ctypes.c_int]
    library.ggml_validate_row_data.restype = ctypes.c_bool
    library.ggml_validate_row_data.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    return library


def _library_folder() -> Path:
    # llama-cpp-python itself honours this variable, so both load the same build
    if override := os.environ.get("LLAMA_CPP_LIB_PATH"):
        return Path(override)
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("llama-cpp-python is not installed", "Install it: pip install 'llama-cpp-python>=0.3.36,<0.4'")
    return Path(spec.submodule_search_locations[0]) / "lib"
