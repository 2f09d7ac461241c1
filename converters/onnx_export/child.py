"""The child process of an ONNX conversion: optimum's export, or onnxruntime's quantization of what it gave.

Run with a request as JSON in its only argument (process.py); its last line of standard output is
`{"kind": "done" | "missing" | "refused" | "failed", "problem": "..."}`. The only file that imports torch, transformers,
optimum and onnx, and of onnxruntime the part that makes graphs and does not run them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import onnx

_WEIGHTS_SUFFIX = "_data"  # as optimum names it
_TASK = "text-generation-with-past"
_SMALLEST_EXTERNAL_BYTES = 1024
_LOOK_S = 0.5


class RefusedError(Exception):
    """The checkpoint itself is at fault; the message names the tensor."""


def export(source: str, target: str, half: bool) -> None:
    """Write the checkpoint's graph with KV cache to `target`; RefusedError for weights that are no finite numbers."""
    import torch
    from optimum.exporters.onnx import onnx_export_from_model
    from transformers import AutoModelForCausalLM

    dtype = torch.float16 if half else torch.float32
    model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, local_files_only=True, use_safetensors=True)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            what = "a value is too large for fp16, or" if half else "a value is"
            raise RefusedError(f"{name}: {what} not a finite number")
    onnx_export_from_model(model, target, task=_TASK, do_validation=False)


def quantize(source: str, target: str, bits: int, block: int, external_bytes: int) -> None:
    """Write the graph `source` to the file `target` with matrices of `bits` bits, the token table in half precision."""
    import onnx

    model = onnx.load(source)
    halve_token_table(model)
    if bits == 4:
        model = _four_bits(model, block)
    else:
        prepared = _temporary("single.onnx")
        _save(model, prepared, 0)
        del model  # the quantizer holds copies of its own
        model = _eight_bits(prepared)
    _save(model, Path(target), external_bytes)


def _save(model: onnx.ModelProto, path: Path, external_bytes: int) -> None:
    """Write a graph; its weights go into a second file where all of them pass `external_bytes`."""
    import onnx

    onnx.save(
        model,
        path,
        save_as_external_data=_weight_bytes(model) > external_bytes,
        location=path.name + _WEIGHTS_SUFFIX,
        size_threshold=_SMALLEST_EXTERNAL_BYTES,
    )


def halve_token_table(model: onnx.ModelProto) -> None:
    """Store the table that the tokens are looked up in as float16, a cast behind it; the quantizers leave it as it is.

    Rows are looked up one by one, so nothing is computed in half precision.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    look_up = next(node for node in model.graph.node if node.op_type == "Gather" and "input_ids" in node.input[1])
    table = next(entry for entry in model.graph.initializer if entry.name == look_up.input[0])
    values = numpy_helper.to_array(table).astype(np.float16)
    if not np.isfinite(values).all():
        raise RefusedError("model.embed_tokens.weight: a value is too large for fp16")
    half = numpy_helper.from_array(values, table.name + "_fp16")
    model.graph.initializer.append(half)
    if not any(table.name in node.input for node in model.graph.node if node is not look_up):
        model.graph.initializer.remove(table)
    output = look_up.output[0]
    look_up.input[0], look_up.output[0] = half.name, output + "_fp16"
    place = list(model.graph.node).index(look_up)
    model.graph.node.insert(place + 1, helper.make_node("Cast", [output + "_fp16"], [output], to=TensorProto.FLOAT))


def _four_bits(model: onnx.ModelProto, block: int) -> onnx.ModelProto:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # level 4 lets the CPU multiply in int8, which is faster and costs no agreement (measured)
    quantizer = MatMulNBitsQuantizer(model, bits=4, block_size=block, is_symmetric=False, accuracy_level=4)
    quantizer.process()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _eight_bits(prepared: Path) -> onnx.ModelProto:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    result = _temporary("int8.onnx")
    # unsigned weights: signed ones overflow in the 16-bit sums of x86 CPUs without VNNI
    quantize_dynamic(
        prepared,
        result,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QUInt8,
        use_external_data_format=True,
    )
    return onnx.load(result)


def _temporary(name: str) -> Path:
    return Path(tempfile.gettempdir(), name)


def _weight_bytes(model: onnx.ModelProto) -> int:
    return sum(len(entry.raw_data) for entry in model.graph.initializer)


def _follow(parent: int) -> None:
    """End this process soon after its parent has ended, however that ended."""
    process = psutil.Process(parent)

    def look() -> None:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _answer(request: dict[str, Any]) -> dict[str, str]:
    task = request.pop("task")
    _follow(request.pop("parent"))
    try:
        export(**request) if task == "Export" else quantize(**request)
    except RefusedError as error:
        return {"kind": "refused", "problem": str(error)}
    except ImportError as error:
        return {"kind": "missing", "problem": str(error)}
    except MemoryError:
        return {"kind": "failed", "problem": "memory ran out"}
    except Exception as error:  # the libraries raise anything
        first = str(error).strip().splitlines()[:1]
        return {"kind": "failed", "problem": f"{type(error).__name__}: {''.join(first)[:300]}"}
    return {"kind": "done", "problem": ""}


def main() -> None:
    """Do the request; what the libraries print on standard output goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    line = json.dumps(_answer(json.loads(sys.argv[1]))) + "\n"
    sys.stdout.flush()
    os.write(answers, line.encode())


if __name__ == "__main__":
    main()
