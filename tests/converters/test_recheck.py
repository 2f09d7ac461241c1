from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.converters import recheck
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.recheck import check_file, compare_with_source
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.verify import base_of, file_base
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.runtime.onnx_folder import read_onnx_folder
from coalm_lite.store.provenance import KEY, Provenance, as_json, read_provenance, reserve
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.gguf_models import write_tiny_model
from tests.onnx_models import FP32, copied


def told(source: Path, target: Path, quant: Quant = Quant.Q8_0) -> Path:
    """A file with room for its provenance."""
    convert(source, target, quant, metadata={KEY: reserve(Provenance(source="tiny"))})
    return target


def test_a_model_with_a_context_too_small_for_the_call_is_fine_and_says_so(checkpoint: Path, tmp_path: Path) -> None:
    found = check_file(told(checkpoint, tmp_path / "m.gguf"), threads=1)
    assert (found.state, found.hashed) == ("fine", False)
    assert found.verification is not None
    assert "256 are available" in found.verification.not_called


def test_damaged_provenance_is_a_bad_header(tmp_path: Path, checkpoint: Path) -> None:
    target = tmp_path / "m.gguf"
    convert(checkpoint, target, Quant.Q8_0, metadata={KEY: "{"})
    found = check_file(target, threads=1)
    assert found.state == "bad header"
    assert "coalm.provenance" in found.detail


def test_complete_numbers_are_written_beside_what_stood_there(checkpoint: Path, tmp_path: Path) -> None:
    target = told(checkpoint, tmp_path / "m.gguf")
    found = compare_with_source(target, base_of(checkpoint_source(checkpoint)), beside=target, threads=1)
    assert (found.problem, found.written, found.not_written) == ("", True, "")
    record = read_provenance(read_header(target))
    assert record is not None
    assert (record.source, record.verification) == ("tiny", found.verification)


def test_a_source_that_the_disk_cannot_take_is_told_and_nothing_is_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = told(checkpoint, tmp_path / "m.gguf")
    before = target.read_bytes()
    monkeypatch.setattr(recheck, "free_disk_bytes", lambda _: 1000)
    found = compare_with_source(target, base_of(checkpoint_source(checkpoint)), beside=target, threads=1)
    assert found.tensors is None
    assert found.verification.not_compared == "needs 0.0 GB of disk, and 0.0 GB are free"
    assert (found.written, found.not_written) == (False, "it was not compared")
    assert target.read_bytes() == before


def test_tensors_of_other_weights_are_a_problem_and_are_not_written(tmp_path: Path) -> None:
    first, other = (write_tiny_model(tmp_path / f"{seed}.gguf", layers=1, seed=seed) for seed in (1, 2))
    found = compare_with_source(first, file_base(other), beside=first, threads=1)
    assert found.problem.startswith("no quantization explains ")
    assert found.problem.endswith(" more")
    assert not found.written


def test_a_changed_file_of_an_onnx_folder_is_named(tmp_path: Path) -> None:
    folder = copied(FP32, tmp_path / "onnx")
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "model.onnx").write_bytes(data)
    found = check_file(folder)
    assert found.state == "changed bytes"
    assert "model.onnx" in found.detail


def test_an_onnx_folder_agrees_with_the_checkpoint_it_was_made_of_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra `onnx`")
    source = checkpoint_source(write_checkpoint(tmp_path / "tiny", Recipe()))
    folder = copied(FP32, tmp_path / "onnx")
    found = compare_with_source(folder, base_of(source), beside=tmp_path / "work", threads=1)
    assert (found.tensors, found.written) == (None, True)
    agreement = found.verification.agreement
    assert agreement is not None
    assert agreement.top1 > 0.98
    assert agreement.kl_mean < 1e-4
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", "onnx"}
    before, after = read_onnx_folder(FP32), read_onnx_folder(folder)
    assert after.provenance == {**before.provenance, **as_json(Provenance(verification=found.verification))}
    assert (after.files, after.versions) == (before.files, before.versions)
    assert check_file(folder, threads=1).state == "fine"
