"""Results held against their sources by the real converter and llama.cpp: coalm-nano, and models of random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.converters import verify
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.converters.sources.checkpoint import checkpoint_source
from coalm_lite.converters.sources.gguf import gguf_source
from coalm_lite.converters.verify import Base, base_of, has_failed, verify_conversion
from coalm_lite.errors import ModelError, StoreError
from coalm_lite.pull.machine import Machine
from coalm_lite.store.provenance import Provenance, Verification, reserve
from tests.gguf_models import tiny_model, write_tiny_model

__all__ = ["tiny_model"]
NANO = Path(__file__).parent.parent.parent / "nano" / "checkpoint"
METADATA = {"coalm.dialects": "dst,cra", "coalm.instructions": "short"}


def made(folder: Path, quant: Quant) -> Path:
    target = folder / f"nano.{quant}.gguf"
    convert(NANO, target, quant, metadata=METADATA)
    return target


@pytest.fixture(scope="module")
def base_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """coalm-nano in 16 bits."""
    return made(tmp_path_factory.mktemp("base"), Quant.BF16)


def test_a_copy_of_the_source_agrees_with_it_in_full(base_file: Path) -> None:
    found = verify_conversion(base_file, base_of(gguf_source(base_file)), threads=1)
    assert found.agreement is not None
    assert (found.agreement.top1, found.agreement.base) == (1, base_file.name)
    assert found.agreement.kl_mean == found.agreement.kl_p99 == 0
    assert found.agreement.positions >= 400
    assert (found.call_problem, found.not_called, found.not_compared) == ("", "", "")
    assert found.dialect == "dst"
    assert "reserve" in found.call
    assert not has_failed(found)


def test_fewer_bits_agree_less_with_the_checkpoint(base_file: Path, tmp_path: Path) -> None:
    base = base_of(gguf_source(base_file))
    found = [verify_conversion(made(tmp_path, q), base, threads=1) for q in (Quant.Q8_0, Quant.Q4_K_M, Quant.Q2_K)]
    agreements = [each.agreement for each in found if each.agreement is not None]
    means = [each.kl_mean for each in agreements]
    assert 0 < means[0] < 1e-3 < means[1] < 0.1 < means[2]
    assert agreements[0].top1 > 0.98 > agreements[1].top1 > agreements[2].top1
    assert all(0 < each.kl_standard_error < each.kl_mean < each.kl_p99 for each in agreements)


def test_a_checkpoint_is_compared_through_a_16_bit_file_that_goes_again(base_file: Path, tmp_path: Path) -> None:
    target = made(tmp_path, Quant.Q8_0)
    stages: list[str] = []
    base = base_of(checkpoint_source(NANO))
    found = verify_conversion(target, base, threads=1, report=stages.append)
    by_file = verify_conversion(target, base_of(gguf_source(base_file)), threads=1)
    assert found.agreement is not None
    assert by_file.agreement is not None
    assert replace(found.agreement, base="") == replace(by_file.agreement, base="")
    assert "making the 16-bit model" in stages
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert 0 < base.size_bytes - base_file.stat().st_size < 64 << 20


def test_the_numbers_fit_into_what_is_reserved(base_file: Path) -> None:
    found = verify_conversion(base_file, base_of(gguf_source(base_file)), threads=1)
    assert len(reserve(Provenance(verification=found))) == len(reserve(Provenance()))


def test_without_a_source_only_the_call_is_tried(tiny_model: Path) -> None:
    found = verify_conversion(tiny_model, None, listed_dialects=("unknown", "hammer"), threads=1)
    assert found.not_compared == "no source was given"
    assert (found.agreement, found.call_problem, found.dialect) == (None, "", "hammer")
    assert "reserve" in found.call


def test_a_base_that_memory_cannot_take_is_not_loaded_and_told(
    base_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "this_machine", lambda: Machine(8 << 30, 1 << 20))
    found = verify_conversion(base_file, base_of(gguf_source(base_file)), threads=1)
    assert found.agreement is None
    assert found.not_compared.startswith("needs 0.1 GB of memory, and 0.0 GB are free")
    assert found.call


def test_a_base_that_the_disk_cannot_take_is_not_made(base_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise AssertionError("it was made")

    monkeypatch.setattr(verify, "free_disk_bytes", lambda _: 10)
    found = verify_conversion(base_file, Base("nano", 14_000_000, make=fail), threads=1)
    assert found.not_compared == "needs 0.0 GB of disk, and 0.0 GB are free"


def test_a_16_bit_file_that_cannot_be_made_leaves_nothing(base_file: Path, tmp_path: Path) -> None:
    target = made(tmp_path, Quant.Q8_0)

    def half(path: Path) -> None:
        path.write_bytes(b"half")
        raise ModelError("the source is damaged")

    with pytest.raises(ModelError, match="the source is damaged"):
        verify_conversion(target, Base("nano", 14_000_000, make=half), threads=1)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_full_disk_while_comparing_is_told_and_the_call_stands(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        path.write_bytes(b"half")
        raise StoreError("no space left")

    target = made(tmp_path, Quant.Q8_0)
    found = verify_conversion(target, Base("nano", 14_000_000, make=full), threads=1)
    assert (found.not_compared, found.agreement) == ("no space left", None)
    assert "reserve" in found.call
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_another_models_source_is_an_error(tiny_model: Path, base_file: Path) -> None:
    with pytest.raises(ModelError, match="other tokens"):
        verify_conversion(base_file, base_of(gguf_source(tiny_model)), threads=1)


def test_random_weights_pass_and_agree_with_their_source(tiny_model: Path, tmp_path: Path) -> None:
    source = gguf_source(tiny_model)
    convert(source, tmp_path / "q6.gguf", Quant.Q6_K)
    found = verify_conversion(tmp_path / "q6.gguf", base_of(source), threads=1)
    assert not has_failed(found)
    assert found.agreement is not None
    assert 0 < found.agreement.kl_mean < 0.05


def test_other_weights_of_the_same_shape_disagree(tiny_model: Path, tmp_path: Path) -> None:
    """The comparison is worth something: it sees weights that are not the source's."""
    other = write_tiny_model(tmp_path / "other.gguf", seed=1)
    found = verify_conversion(other, base_of(gguf_source(tiny_model)), threads=1)
    assert found.agreement is not None
    assert found.agreement.top1 < 0.5
    assert found.agreement.kl_mean > 0.05


def test_a_call_with_a_problem_is_a_failure_and_ends_the_check(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "nan.gguf", layers=1)
    data = bytearray(path.read_bytes())
    data[-4:] = b"\xff\xff\xff\xff"  # no number, in output.weight
    path.write_bytes(data)
    found = verify_conversion(path, base_of(gguf_source(path)), threads=1)
    assert has_failed(found)
    assert (found.agreement, found.not_compared) == (None, "the tool call failed")
    assert not has_failed(Verification(not_called="a context of 256 tokens"))
