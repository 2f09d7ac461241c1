"""llama.cpp's quantizer as llama-cpp-python's library has it; llama-quantize is a command line for it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from coalm_lite.converters.calibration.imatrix_file import read_imatrix
from coalm_lite.converters.gguf import Quant
from coalm_lite.converters.writing.quants import RECIPES


def quantize(source: Path, target: Path, quant: Quant, imatrix: Path | None = None) -> None:
    """llama.cpp's half of the two steps."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = int(RECIPES[quant].file_type), 2
    values = read_imatrix(imatrix).values if imatrix else {}
    kept = {name: np.ascontiguousarray(numbers) for name, numbers in values.items()}
    pointer = ctypes.POINTER(ctypes.c_float)
    entries = [(name.encode(), numbers.ctypes.data_as(pointer), numbers.size) for name, numbers in kept.items()]
    if entries:
        kind = llama_cpp.llama_model_imatrix_data
        parameters.imatrix = (kind * (len(entries) + 1))(*(kind(*entry) for entry in entries), kind(None, None, 0))
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), parameters) == 0
