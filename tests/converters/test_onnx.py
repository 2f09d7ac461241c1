"""The conversion to ONNX with the real optimum and onnxruntime, and what is refused before they are started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import coalm_lite.converters.onnx as converter
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.onnx import OnnxQuant, convert_onnx
from coalm_lite.converters.onnx_export.work import work_folder
from coalm_lite.errors import CoalmError, MissingExtraError, ModelError, UsageError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine, LlamaVocabulary
from coalm_lite.runtime.onnx_folder import changed_files, read_onnx_folder
from tests.converters.conftest import EditJson
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint, write_json
from tests.onnx_models import METADATA

if TYPE_CHECKING:
    from numpy.typing import NDArray

LICENSED = METADATA | {"general.license": "cc-by-4.0"}
PROMPT = [index * 7 % 256 for index in range(120)]


def need_the_extra() -> None:
    for package in ("torch", "optimum", "onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"needs {package}, of the extra `onnx`")


def logits(folder: Path) -> NDArray[np.float32]:
    """The logits after each token of PROMPT."""
    from coalm_lite.runtime.onnx import OnnxEngine

    with OnnxEngine.load(folder, threads=1) as engine:
        return np.stack(list(engine.logits_after(PROMPT, 0, Cancel())))


def reference(checkpoint: Path, tmp_path: Path) -> NDArray[np.float32]:
    """The same of the checkpoint's GGUF in 32 bits."""
    convert(checkpoint, tmp_path / "reference.gguf", Quant.F32)
    with LlamaEngine.load(tmp_path / "reference.gguf", threads=1) as engine:
        return np.stack(list(engine.logits_after(PROMPT, 0, Cancel())))


def left_beside(checkpoint: Path) -> list[str]:
    return sorted(path.name for path in checkpoint.parent.iterdir() if path != checkpoint)


# What needs none of the extra


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("nothing", UsageError, "there is no folder"),
        ("tiny.gguf", UsageError, "is a file, and ONNX is made of a checkpoint's folder"),
        ("uiuc-convai/CoALM-8B", UsageError, "there is no folder uiuc-convai/CoALM-8B"),
    ],
)
def test_a_source_that_is_no_folder_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, kind: type[CoalmError], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.gguf").touch()
    with pytest.raises(kind, match=message) as raised:
        convert_onnx(Path(source), Path("m"), OnnxQuant.FP32)
    assert "hf download" in raised.value.hint


def test_a_damaged_checkpoint_is_refused_before_anything_is_written(checkpoint: Path, edit_json: EditJson) -> None:
    edit_json(checkpoint / "config.json", lambda config: config.update(intermediate_size=64))
    with pytest.raises(ModelError, match=r"mlp\.down_proj\.weight: has shape"):
        convert_onnx(checkpoint, checkpoint.parent / "m", OnnxQuant.FP32)
    assert left_beside(checkpoint) == []


def test_a_block_or_key_that_cannot_be_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="a block of 48 values") as raised:
        convert_onnx(checkpoint, checkpoint.parent / "m", OnnxQuant.INT4, block=48)
    assert "32, 128" in raised.value.hint
    with pytest.raises(UsageError, match="metadata key"):
        convert_onnx(checkpoint, checkpoint.parent / "m", OnnxQuant.INT4, metadata={"llama.block_count": "1"})


def test_missing_packages_are_named_with_the_extra(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converter, "_PACKAGES", ("numpy", "no_such_package_here"))
    with pytest.raises(MissingExtraError, match="needs no_such_package_here") as raised:
        convert_onnx(checkpoint, checkpoint.parent / "m", OnnxQuant.FP32)
    assert "coalm-lite[onnx]" in raised.value.hint
    assert left_beside(checkpoint) == []


# What needs it


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that no test changes."""
    return write_checkpoint(tmp_path_factory.mktemp("sound") / "tiny", Recipe())


@pytest.fixture(scope="module")
def made(sound: Path) -> Callable[[OnnxQuant], Path]:
    """The sound checkpoint in each type, converted when it is first asked for: ten seconds each."""

    @cache
    def convert_to(quant: OnnxQuant) -> Path:
        stages: list[str] = []
        target = sound.parent / quant
        report = convert_onnx(sound, target, quant, metadata=LICENSED, report=stages.append)
        assert stages == (["export", "quantize", "hash"] if quant.bits else ["export", "hash"])
        assert report.parameters == 101312
        assert report.size_bytes == sum(path.stat().st_size for path in target.iterdir())
        return target

    return convert_to


@pytest.mark.parametrize(
    ("quant", "tolerance"), [("fp32", 0.002), ("fp16", 0.02), ("int8", 0.1), ("int4", 0.5)], ids=str
)
def test_each_type_is_as_close_to_the_checkpoint_as_it_can_be(
    sound: Path, made: Callable[[OnnxQuant], Path], tmp_path: Path, quant: str, tolerance: float
) -> None:
    need_the_extra()
    base = reference(sound, tmp_path)
    assert np.abs(logits(made(OnnxQuant(quant))) - base).max() < tolerance * np.abs(base).max()


def test_the_folder_tells_its_story(sound: Path, made: Callable[[OnnxQuant], Path]) -> None:
    need_the_extra()
    folder = read_onnx_folder(made(OnnxQuant.INT4))
    assert list(changed_files(folder)) == []
    assert {file.name for file in folder.files} | {"coalm.json"} == {path.name for path in folder.path.iterdir()}
    assert "blocks of 32" in folder.recipe
    story = folder.provenance
    assert (story["source"], story["license"]) == ("tiny", LICENSED["general.license"])
    sources = story["files"]
    assert isinstance(sources, list)
    assert all(isinstance(file, dict) and len(str(file["sha256"])) == 64 for file in sources)
    with LlamaVocabulary(folder.vocabulary) as vocabulary:
        assert LICENSED.items() <= vocabulary.metadata.items()
        assert "start_header_id" in vocabulary.metadata["tokenizer.chat_template"]
        assert vocabulary.metadata["general.size_label"] == "101K"
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        assert (folder.path / name).read_bytes() == (sound / name).read_bytes()


@pytest.mark.parametrize(
    "recipe", [Recipe(tied=True), Recipe(shards=3, dtype="F16"), Recipe(dtype="F32")], ids=["tied", "shards", "f32"]
)
def test_other_checkpoints_are_as_close(tmp_path: Path, recipe: Recipe) -> None:
    need_the_extra()
    checkpoint = write_checkpoint(tmp_path / "tiny", recipe)
    convert_onnx(checkpoint, tmp_path / "m", OnnxQuant.FP32)
    base = reference(checkpoint, tmp_path)
    assert np.abs(logits(tmp_path / "m") - base).max() < 0.002 * np.abs(base).max()


def test_large_weights_go_into_a_second_file(sound: Path, made: Callable[[OnnxQuant], Path], tmp_path: Path) -> None:
    """The bound is two gigabytes; a lower one shows that such a folder is whole, and runs."""
    need_the_extra()
    convert_onnx(sound, tmp_path / "two", OnnxQuant.INT8, external_bytes=1000)
    assert "model.onnx_data" in {file.name for file in read_onnx_folder(tmp_path / "two").files}
    assert np.array_equal(logits(made(OnnxQuant.INT8)), logits(tmp_path / "two"))
    data = (tmp_path / "two" / "model.onnx_data").read_bytes()
    (tmp_path / "two" / "model.onnx_data").write_bytes(data[:-1])
    with pytest.raises(ModelError, match=r"model\.onnx_data has"):
        read_onnx_folder(tmp_path / "two")


@pytest.mark.parametrize(("value", "quant"), [(np.nan, "int8"), (1e6, "fp16")])
def test_weights_that_are_no_numbers_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, quant: str
) -> None:
    need_the_extra()
    from tests.converters import tiny_checkpoint

    make = tiny_checkpoint.make_tensor

    def damaged(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        tensor = make(name, shape)
        if name == "model.layers.1.mlp.up_proj.weight":
            tensor[3, 5] = value
        return tensor

    monkeypatch.setattr(tiny_checkpoint, "make_tensor", damaged)
    checkpoint = write_checkpoint(tmp_path / "tiny", Recipe(dtype="F32"))
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight: .*not a finite number"):
        convert_onnx(checkpoint, tmp_path / "m", OnnxQuant(quant))
    assert left_beside(checkpoint) == []


def test_what_the_libraries_print_stays_out_of_the_terminal(sound: Path, tmp_path: Path) -> None:
    need_the_extra()
    code = (
        "import sys; from pathlib import Path; from coalm_lite.converters.onnx import convert_onnx, OnnxQuant;"
        "convert_onnx(Path(sys.argv[1]), Path(sys.argv[2]), OnnxQuant.INT4);"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code, str(sound), str(tmp_path / "m")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert not set(done.stdout.split()) & {"torch", "optimum", "transformers", "onnx"}


CONVERTS = """
import sys
from pathlib import Path
from coalm_lite.converters.onnx import convert_onnx, OnnxQuant
convert_onnx(Path(sys.argv[1]), Path(sys.argv[2]), OnnxQuant.FP32, report=lambda stage: print(stage, flush=True))
"""


@pytest.mark.skipif(os.name != "posix", reason="interrupts are signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_a_run_that_is_ended_leaves_no_folder_and_no_process(sound: Path, tmp_path: Path, end: signal.Signals) -> None:
    need_the_extra()
    import psutil

    target = tmp_path / "place" / "m"
    target.parent.mkdir()
    command = [sys.executable, "-c", CONVERTS, str(sound), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"export\n"
        deadline = time.monotonic() + 30
        while not (children := psutil.Process(process.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1)
        process.send_signal(end)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert sorted(path.name for path in target.parent.iterdir()) == (["m.partial"] if end is signal.SIGKILL else [])
    with work_folder(target):
        pass
    assert sorted(path.name for path in target.parent.iterdir()) == ["m"]


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    """A configuration that only transformers refuses."""
    need_the_extra()
    checkpoint = write_checkpoint(tmp_path / "tiny", Recipe())
    config = json.loads((checkpoint / "config.json").read_text())
    write_json(checkpoint / "config.json", config | {"model_type": "no_such_model"})
    with pytest.raises(ModelError, match=r"failed: .*no_such_model") as raised:
        convert_onnx(checkpoint, tmp_path / "m", OnnxQuant.FP32)
    assert "-vv" in raised.value.hint
    assert left_beside(checkpoint) == []
