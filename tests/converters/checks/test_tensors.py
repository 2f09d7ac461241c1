from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from coalm_lite.converters.checks.tensors import broken_tensors, check_tensors, data_hash
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.errors import ModelError
from coalm_lite.runtime.gguf_header import GgufHeader, read_header
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.gguf_models import tiny_model, write_tiny_model

__all__ = ["tiny_model"]


def made(source: Path, target: Path, quant: Quant) -> GgufHeader:
    convert(source, target, quant)
    return read_header(target)


def overwrite(path: Path, header: GgufHeader, name: str, data: bytes) -> None:
    """Put `data` at the beginning of a tensor."""
    tensor = next(each for each in header.tensors if each.name == name)
    with path.open("r+b") as file:
        file.seek(header.data_offset + tensor.offset)
        file.write(data)


@pytest.mark.parametrize("quant", [Quant.F32, Quant.F16, Quant.BF16, Quant.Q8_0])
def test_errors_by_file_are_those_taken_while_converting(checkpoint: Path, tmp_path: Path, quant: Quant) -> None:
    target, base = tmp_path / "out.gguf", tmp_path / "base.gguf"
    report = convert(checkpoint, target, quant, measured=True)
    made(checkpoint, base, Quant.F32)
    found = check_tensors(target, base)
    assert report.errors is not None
    relative = {name: error.relative for name, error in report.errors.items()}
    assert found.errors.worst == pytest.approx(max(relative.values()))
    assert found.errors.tensors == len(relative)
    assert found.implausible == ()


def test_a_quantized_base_serves_too(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    made(checkpoint, target, Quant.Q8_0)
    found = check_tensors(target, target)
    assert (found.errors.worst, found.implausible) == (0, ())
    assert found.errors.by_type.keys() == {"F32", "Q8_0"}


def test_a_tensor_that_is_not_the_bases_is_named(checkpoint: Path, tmp_path: Path) -> None:
    target, base = tmp_path / "out.gguf", tmp_path / "base.gguf"
    header = made(checkpoint, target, Quant.Q8_0)
    made(checkpoint, base, Quant.BF16)
    overwrite(target, header, "blk.1.attn_q.weight", bytes(2000))
    found = check_tensors(target, base)
    assert found.implausible == ("blk.1.attn_q.weight",)
    assert found.errors.worst_tensor == "blk.1.attn_q.weight"


def test_a_base_of_another_shape_is_an_error_that_names_tensor_and_files(tiny_model: Path, tmp_path: Path) -> None:
    smaller = write_tiny_model(tmp_path / "smaller.gguf", layers=1)
    with pytest.raises(ModelError, match=r"blk\.1\.attn_norm\.weight.* is not in .*smaller"):
        check_tensors(tiny_model, smaller)
    wide = tmp_path / "wide.gguf"
    made(write_checkpoint(tmp_path / "wide", Recipe(ffn=128)), wide, Quant.F16)
    narrow = tmp_path / "narrow.gguf"
    made(write_checkpoint(tmp_path / "narrow", Recipe()), narrow, Quant.F16)
    with pytest.raises(ModelError, match=r"ffn_.*has the shape \[128, 64\] in .*wide"):
        check_tensors(narrow, wide)


def test_the_hash_is_that_of_all_bytes_behind_the_head(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    report = convert(checkpoint, target, Quant.Q8_0)
    header = read_header(target)
    counts: list[int] = []
    data = target.read_bytes()[header.data_offset :]
    assert data_hash(target, header, counts.append) == hashlib.sha256(data).hexdigest() == report.data_sha256
    assert sum(counts) == len(data)
    overwrite(target, header, "output.weight", b"\x01")
    assert data_hash(target, header) != report.data_sha256


@pytest.mark.parametrize("quant", [Quant.F32, Quant.F16, Quant.BF16, Quant.Q8_0])
def test_tensors_with_values_that_are_no_numbers_are_named(checkpoint: Path, tmp_path: Path, quant: Quant) -> None:
    target = tmp_path / "out.gguf"
    header = made(checkpoint, target, quant)
    assert broken_tensors(target, header) == []
    overwrite(target, header, "blk.0.ffn_down.weight", b"\xff" * 64)
    overwrite(target, header, "token_embd.weight", b"\xff" * 64)
    assert sorted(broken_tensors(target, header)) == ["blk.0.ffn_down.weight", "token_embd.weight"]
