"""Graphs that onnxruntime must not be trusted with: each is a clear error, and the process goes on."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra `onnx`")

from coalm_lite.errors import CoalmError, ModelError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.onnx import OnnxEngine
from tests.onnx_models import FP32, copied

GRAPH_BYTES = 95_000  # of model.onnx; the weights come behind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copied(FP32, tmp_path / "m")


def record_size(folder: Path, name: str) -> None:
    """Have the record tell the file's size as it is now, so that the graph is what is refused."""
    record = json.loads((folder / "coalm.json").read_text())
    for file in record["files"]:
        if file["name"] == name:
            file["size_bytes"] = (folder / name).stat().st_size
    (folder / "coalm.json").write_text(json.dumps(record))


def write_graph(folder: Path, data: bytes) -> None:
    (folder / "model.onnx").write_bytes(data)
    record_size(folder, "model.onnx")


def refusal(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as raised:
        OnnxEngine.load(folder, threads=1)
    assert raised.value.hint
    assert raised.value.message.isprintable()
    return raised.value


@pytest.mark.parametrize("length", [0, 1, 1000, GRAPH_BYTES, -1])
def test_a_cut_graph_is_refused(folder: Path, length: int) -> None:
    write_graph(folder, (folder / "model.onnx").read_bytes()[:length])
    assert str(folder / "model.onnx") in refusal(folder).message


@pytest.mark.parametrize("data", [b"GGUF\x03\0\0\0", b"<!doctype html><html>", bytes(1000), b"\x08\x08"])
def test_what_is_no_graph_is_refused(folder: Path, data: bytes) -> None:
    write_graph(folder, data)
    assert "model.onnx" in refusal(folder).message


def test_a_vocabulary_of_another_size_is_refused(folder: Path) -> None:
    """The two files were written for different models."""
    shipped = Path(__file__).parents[2] / "coalm_lite" / "models" / "coalm-nano.Q8_0.gguf"
    shutil.copyfile(shipped, folder / "vocabulary.gguf")
    record_size(folder, "vocabulary.gguf")
    assert "gives logits of" in (message := refusal(folder).message)
    assert "vocabulary.gguf has 4096" in message


def test_a_vocabulary_that_is_no_gguf_is_refused(folder: Path) -> None:
    (folder / "vocabulary.gguf").write_bytes(b"{}")
    record_size(folder, "vocabulary.gguf")
    assert "vocabulary.gguf" in refusal(folder).message


def test_a_renamed_input_is_refused(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    write_graph(folder, data.replace(b"attention_mask", b"attention_mush"))
    assert "has no input attention_mask" in refusal(folder).message


@pytest.mark.parametrize("seed", range(25))
def test_a_graph_with_changed_bytes_is_refused_or_runs(folder: Path, seed: int) -> None:
    """Of 3,800 such graphs, none ended the process; these are a few of them."""
    choose = random.Random(seed)
    data = bytearray((folder / "model.onnx").read_bytes())
    for _ in range(choose.choice((1, 1, 2, 8))):
        data[choose.randrange(GRAPH_BYTES)] = choose.randrange(256)
    write_graph(folder, bytes(data))
    try:
        with OnnxEngine.load(folder, threads=1) as engine:
            engine.prefill([1, 2, 3], Cancel())
            engine.extend([4], Cancel())
    except CoalmError as error:
        assert error.message.isprintable()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("location", "../model.onnx_data", "escapes model directory"),
        ("location", "/dev/zero", "Absolute path not allowed"),
        ("location", "nothing_data", "does not exist"),
        ("offset", "99999999999", "out of bounds"),
        ("length", "4", "size mismatch"),
    ],
)
def test_weights_that_lie_elsewhere_are_refused(folder: Path, key: str, value: str, problem: str) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx, of the extra `onnx`")
    path = folder / "model.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx_data", size_threshold=1024)
    shutil.copyfile(folder / "model.onnx_data", folder.parent / "model.onnx_data")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = value if entry.key == key else entry.value
    write_graph(folder, model.SerializeToString())
    assert problem in refusal(folder).message


def test_weights_that_are_cut_short_are_refused(folder: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx, of the extra `onnx`")
    path = folder / "model.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx_data", size_threshold=1024)
    record_size(folder, "model.onnx")
    data = (folder / "model.onnx_data").read_bytes()
    with OnnxEngine.load(folder, threads=1) as engine:
        engine.prefill([1, 2, 3], Cancel())
    (folder / "model.onnx_data").write_bytes(data[: len(data) // 2])
    assert "out of bounds" in refusal(folder).message
