"""The tiny checkpoint as ONNX folders, so that tests run the real onnxruntime where nothing else of the extra is there.

They are kept in tests/data/onnx, since making them takes torch and optimum: `python -m tests.onnx_models` does it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.converters.tiny_checkpoint import Recipe, write_checkpoint

FOLDER = Path(__file__).parent / "data" / "onnx"
FP32, FP16 = FOLDER / "fp32", FOLDER / "fp16"
METADATA = {"general.name": "tiny", "coalm.dialects": "hammer,cra", "coalm.instructions": "short"}
CONTEXT_TOKENS = 256


def copied(source: Path, target: Path) -> Path:
    """A copy of a folder, to be damaged."""
    shutil.copytree(source, target)
    return target


def main() -> None:
    """Makes the folders anew."""
    from coalm_lite.converters.onnx import OnnxQuant, convert_onnx

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = write_checkpoint(Path(temporary) / "tiny", Recipe())
        for quant in (OnnxQuant.FP32, OnnxQuant.FP16):
            print(convert_onnx(checkpoint, FOLDER / quant, quant, metadata=METADATA))


if __name__ == "__main__":
    main()
