"""ggml's tensors as its evaluation callback hands them out: their fields, read in place, and their data.

The layout is that of ggml.h (`struct ggml_tensor`) in the llama.cpp that llama-cpp-python 0.3.36 builds; `check_layout`
holds it against what the library itself says before any tensor is read.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.errors import ModelError
from coalm_lite.runtime.llamacpp.library import ggml_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

F32 = 0
_OBJECT_BYTES = 32  # of the list entry that `ggml_tensor_overhead` counts with each tensor
_FIRST_OPERATIONS = 64  # ggml has some 90, and to ask for one beyond the last is undefined
_DIMENSIONS, _SOURCES, _NAME_BYTES, _PARAMETER_BYTES = 4, 10, 64, 64


class GgmlTensor(ctypes.Structure):
    """A tensor: `ne` are its sides, the fastest first, `nb` the bytes from one step along a side to the next."""

    ne: ctypes.Array[ctypes.c_int64]
    nb: ctypes.Array[ctypes.c_size_t]
    src: ctypes.Array[ctypes.c_void_p]
    type: int
    buffer: int | None
    op: int
    data: int | None
    name: bytes
    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * _DIMENSIONS),
        ("nb", ctypes.c_size_t * _DIMENSIONS),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * (_PARAMETER_BYTES // 4)),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * _SOURCES),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * _NAME_BYTES),
        ("extra", ctypes.c_void_p),
        ("padding", ctypes.c_char * 8),
    )


_NAME_OFFSET: int = vars(GgmlTensor)["name"].offset


def source(tensor: GgmlTensor, index: int) -> GgmlTensor:
    """The tensor that `tensor` is computed from, its `index`-th."""
    return GgmlTensor.from_address(tensor.src[index] or 0)


def rows(tensor: GgmlTensor) -> NDArray[np.float32]:
    """A float32 tensor's numbers, valid until its graph goes on. Shape [rows, columns], rows of all sides in order."""
    size = ggml_library().ggml_nbytes(ctypes.byref(tensor))
    if ggml_library().ggml_backend_buffer_is_host(tensor.buffer):
        memory = (ctypes.c_char * size).from_address(tensor.data or 0)
    else:
        memory = (ctypes.c_char * size)()
        ggml_library().ggml_backend_tensor_get(ctypes.byref(tensor), memory, 0, size)
    shape, strides = tuple(reversed(tensor.ne)), tuple(reversed(tensor.nb))
    numbers: NDArray[np.float32] = np.ndarray(shape, np.float32, memory, 0, strides)
    return numbers.reshape(-1, shape[-1])


@cache
def operation(name: str) -> int:
    """The number of the operation called `name`, such as MUL_MAT, in this build."""
    for number in range(_FIRST_OPERATIONS):
        if ggml_library().ggml_op_name(number) == name.encode():
            return number
    raise _other_build(f"it has no operation {name}")


def check_layout(address: int) -> None:
    """ModelError when the tensor at `address` is not laid out as this file says."""
    library, tensor = ggml_library(), GgmlTensor.from_address(address)
    here, there = ctypes.sizeof(GgmlTensor) + _OBJECT_BYTES, library.ggml_tensor_overhead()
    if here != there:
        raise _other_build(f"its tensors take {there} bytes, not {here}")
    name, data = library.ggml_get_name(address), library.ggml_get_data(address)
    if (name, data) != (address + _NAME_OFFSET, tensor.data):
        raise _other_build("its tensors have their fields at other places")


def _other_build(problem: str) -> ModelError:
    return ModelError(
        f"activations cannot be read from this llama.cpp: {problem}",
        "Install the version that coalm-lite was made with: pip install llama-cpp-python==0.3.36",
    )
