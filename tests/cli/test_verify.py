from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from coalm_lite.converters import verify as conversion_check
from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.models import shipped_model_path
from coalm_lite.pull.machine import Machine
from coalm_lite.runtime.gguf_header import GgufHeader, read_header
from coalm_lite.store.cache import HubCache
from coalm_lite.store.provenance import KEY, Provenance, patch_provenance, read_provenance, reserve
from tests.cli.conftest import CommandLine
from tests.gguf_models import write_tiny_model
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import put

NANO = Path(__file__).parent.parent.parent / "nano" / "checkpoint"


def test_all_pulled_models_are_checked_and_unchanged_ones_are_fine(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    put(cache, model_file(), name="one", pulled_at="2026-02-01T00:00:00Z")
    put(cache, model_file({"llama.context_length": 32}), name="two", path="2.gguf")
    outcome = command_line("verify")
    assert (outcome.code, outcome.out, outcome.err) == (0, "one: fine\ntwo: fine\n", "")
    assert command_line("verify", "two", "two").out == "two: fine\n"


def test_a_changed_file_is_exit_code_1_and_says_how_to_mend_it(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    model = put(cache, model_file(), name="one")
    put(cache, b"no model", name="two", path="2.gguf")
    data = bytearray(model.path.read_bytes())
    data[-1] ^= 1
    model.path.resolve().write_bytes(data)
    outcome = command_line("verify")
    assert outcome.code == 1
    assert "one: changed bytes: its hash is " in outcome.out
    assert "two: bad header: " in outcome.out
    assert "`coalm-lite rm one` and `coalm-lite pull one`" in outcome.err
    states = {result["name"]: result["state"] for result in json.loads(command_line("verify", "--json").out)}
    assert states == {"one": "changed bytes", "two": "bad header"}


def test_with_nothing_pulled_there_is_nothing_to_check(command_line: CommandLine) -> None:
    outcome = command_line("verify")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Nothing was pulled yet." in outcome.err
    assert json.loads(command_line("verify", "--json").out) == []


def test_what_is_not_here_cannot_be_verified(command_line: CommandLine) -> None:
    for name, code in (("8b-q4", 1), ("xyz", 2)):
        outcome = command_line("verify", name)
        assert (outcome.code, outcome.out) == (code, "")
        assert "hint: " in outcome.err
    outcome = command_line("verify", "./m.gguf")
    assert (outcome.code, outcome.out) == (1, "m.gguf: bad header: there is no model file m.gguf\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """coalm-nano in Q8_0, with its provenance."""
    target = tmp_path / "own.gguf"
    report = convert(NANO, target, Quant.Q8_0, metadata={KEY: reserve(Provenance(source="nano"))})
    patch_provenance(target, Provenance(source="nano", data_sha256=report.data_sha256))
    return target


def break_tensor(path: Path, header: GgufHeader, name: str, data: bytes) -> None:
    """Write `data` over a tensor's beginning."""
    tensor = next(each for each in header.tensors if each.name == name)
    with path.open("r+b") as file:
        file.seek(header.data_offset + tensor.offset)
        file.write(data)


def test_a_file_of_ours_is_held_against_its_own_hash_and_makes_a_call(command_line: CommandLine, own: Path) -> None:
    outcome = command_line("verify", str(own), "--threads", "1")
    assert outcome.out == "own.gguf: fine: Action: reserve(people=4, day='saturday')\n"
    assert (outcome.code, outcome.err) == (0, "")
    break_tensor(own, read_header(own), "output.weight", b"\x01\x02")
    outcome = command_line("verify", str(own), "nano", "--threads", "1", "--json")
    states = {result["name"]: result["state"] for result in json.loads(outcome.out)}
    assert (outcome.code, states) == (1, {"own.gguf": "changed bytes", "nano": "fine"})


def test_a_file_of_others_is_searched_for_values_that_are_no_numbers(command_line: CommandLine, tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", layers=1)
    outcome = command_line("verify", str(path), "--threads", "1")
    assert outcome.code == 0
    assert "no hash stands in it" in outcome.out
    break_tensor(path, read_header(path), "blk.0.attn_q.weight", b"\xff" * 4)
    outcome = command_line("verify", str(path), "--threads", "1")
    assert outcome.code == 1
    assert "tiny.gguf: bad values: values that are no numbers in blk.0.attn_q.weight" in outcome.out
    assert "Do not use" in outcome.err


def test_a_model_is_held_against_its_checkpoint_and_the_numbers_land_in_it(
    command_line: CommandLine, own: Path
) -> None:
    outcome = command_line("verify", str(own), "--against", str(NANO), "--threads", "1")
    assert (outcome.code, outcome.err) == (0, "")
    words = dict(line.split("  ", 1) for line in outcome.out.splitlines())
    assert words["written"].strip() == "into the model"
    assert "Q8_0 0.5" in words["errors"]
    assert "KL divergence 0.000" in words["logits"]
    found = read_provenance(read_header(own))
    assert found is not None
    assert found.source == "nano"
    assert found.errors is not None
    assert found.verification is not None
    assert found.verification.agreement is not None
    assert found.verification.agreement.top1 > 0.98
    assert [path.name for path in own.parent.iterdir()] == [own.name]
    assert command_line("verify", str(own), "--threads", "1").code == 0


def test_a_pulled_model_is_compared_and_never_modified(command_line: CommandLine, own: Path) -> None:
    pulled = put(HubCache.of_user(), own.read_bytes(), name="mine")
    before = pulled.path.read_bytes()
    outcome = command_line("verify", "mine", "--against", str(NANO), "--threads", "1", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["problem"], found["written"]) == (0, "", False)
    assert found["not_written"] == "other tools or names share it"
    assert found["verification"]["agreement"]["positions"] >= 400
    assert pulled.path.read_bytes() == before
    assert not list(pulled.path.resolve().parent.glob("*16bit*"))


def test_another_models_weights_are_exit_code_1(command_line: CommandLine, tmp_path: Path) -> None:
    first, other = (write_tiny_model(tmp_path / f"{seed}.gguf", layers=1, seed=seed) for seed in (1, 2))
    outcome = command_line("verify", str(first), "--against", str(other), "--threads", "1")
    assert outcome.code == 1
    assert "no quantization explains token_embd.weight, blk.0.attn_q.weight" in outcome.err
    assert "not into the model" in outcome.out


def test_numbers_against_a_quantized_file_are_printed_and_not_written(command_line: CommandLine, own: Path) -> None:
    before = own.read_bytes()
    outcome = command_line("verify", str(own), "--against", "nano", "--threads", "1")
    assert outcome.code == 0
    assert "not into the model: the source is quantized itself" in outcome.out
    assert own.read_bytes() == before


def test_too_little_memory_is_told_and_keeps_what_stood_there(
    command_line: CommandLine, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line("verify", str(own), "--against", str(NANO), "--threads", "1").code == 0
    before = own.read_bytes()
    monkeypatch.setattr(conversion_check, "this_machine", lambda: Machine(1 << 34, 1 << 20))
    outcome = command_line("verify", str(own), "--against", str(NANO), "--threads", "1")
    assert outcome.code == 0
    assert "not compared: needs 0.1 GB of memory, and 0.0 GB are free" in outcome.out
    assert own.read_bytes() == before


def test_what_cannot_be_compared_is_an_error(command_line: CommandLine, own: Path, tmp_path: Path) -> None:
    for arguments, code, words in (
        ((), 2, "none is named"),
        ((str(own), "nano"), 2, "2 is named"),
        ((str(tmp_path / "no.gguf"),), 1, "there is no model file"),
    ):
        outcome = command_line("verify", *arguments, "--against", str(NANO))
        assert (outcome.code, outcome.out) == (code, "")
        assert words in outcome.err
    for source, code in ((str(tmp_path), 1), ("xyz", 2), (str(tmp_path / "no.gguf"), 1)):
        outcome = command_line("verify", str(own), "--against", source)
        assert (outcome.code, outcome.out) == (code, "")
        assert "hint: " in outcome.err


def test_a_second_name_keeps_a_file_from_being_written(command_line: CommandLine, own: Path) -> None:
    copy = own.with_name("copy.gguf")
    copy.hardlink_to(own)
    outcome = command_line("verify", str(own), "--against", str(NANO), "--threads", "1")
    assert "not into the model: other tools or names share it" in outcome.out
    copy.unlink()
    shutil.copy(shipped_model_path("coalm-nano.Q8_0.gguf"), copy)
    outcome = command_line("verify", str(copy), "--against", str(NANO), "--threads", "1")
    assert "not into the model: it has no room for them" in outcome.out
