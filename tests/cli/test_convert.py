from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gguf import GGUFReader

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.store.provenance import KEY, read_provenance
from tests.cli.conftest import CommandLine
from tests.converters.test_gguf_in_llamacpp import WIDE_SIZES
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint

ROOT = Path(__file__).parents[2]
NANO = ROOT / "nano" / "checkpoint"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs; `tiny` in it is a checkpoint."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "tiny", Recipe())
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_becomes_a_file_named_after_it(command_line: CommandLine, folder: Path) -> None:
    ran = command_line("convert", "tiny", "--no-verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("tiny.Q4_K_M.gguf is ready: Q4_K_M, ")
    assert names(folder) == ["tiny", "tiny.Q4_K_M.gguf"]
    record = read_provenance(read_header(folder / "tiny.Q4_K_M.gguf"))
    assert record is not None
    assert (record.source, record.quant) == ("tiny", "q4_k_m")
    assert record.errors is None


def test_beside_the_provenance_the_file_is_the_librarys(command_line: CommandLine, folder: Path) -> None:
    assert command_line("convert", "tiny", "--quant", "q5", "-o", "a.gguf", "--no-verify").code == 0
    convert(folder / "tiny", folder / "b.gguf", Quant.Q5_K_M)
    one, two = GGUFReader(folder / "a.gguf"), GGUFReader(folder / "b.gguf")
    assert [key for key in one.fields if key != KEY] == list(two.fields)
    for ours, theirs in zip(one.tensors, two.tensors, strict=True):
        assert (ours.name, ours.tensor_type) == (theirs.name, theirs.tensor_type)
        assert ours.data.tobytes() == theirs.data.tobytes()


def test_the_result_is_measured_tried_and_compared(command_line: CommandLine, folder: Path) -> None:
    ran = command_line("convert", str(NANO), "--quant", "q8_0", "-o", "n.gguf", "--threads", "1", "--json")
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    record = read_provenance(read_header(folder / "n.gguf"))
    assert record is not None
    assert told["provenance"]["data_sha256"] == record.data_sha256
    assert record.errors is not None
    assert 0.001 < record.errors.worst < 0.02
    assert record.verification is not None
    assert record.verification.call.startswith("Action: ")
    assert record.verification.agreement is not None
    assert record.verification.agreement.top1 > 0.95
    weights = next(file for file in record.files if file.name == "model.safetensors")
    assert len(weights.sha256) == 64
    assert told["tensor_types"]["blk.0.ffn_down.weight"] == "Q8_0"


def test_a_dry_run_tells_the_size_to_the_byte_and_writes_nothing(command_line: CommandLine, folder: Path) -> None:
    planned = json.loads(command_line("convert", "tiny", "--quant", "q6", "--dry-run", "--json").out)
    assert names(folder) == ["tiny"]
    made = json.loads(command_line("convert", "tiny", "--quant", "q6", "--no-verify", "--json").out)
    assert planned["size_is_exact"]
    assert planned["size_bytes"] == made["size_bytes"] == (folder / "tiny.Q6_K.gguf").stat().st_size
    assert {tensor["name"]: tensor["type"] for tensor in planned["tensors"]} == made["tensor_types"]
    lines = command_line("convert", "tiny", "--quant", "q6", "--dry-run").out
    assert f"({made['size_bytes']} bytes)" in lines
    assert "memory   at most" in lines


def test_what_a_model_was_trained_to_is_told_in_its_file(command_line: CommandLine, folder: Path) -> None:
    told = ("--metadata", "coalm.dialects=dst,hammer", "--metadata", "coalm.instructions=short")
    planned = json.loads(command_line("convert", "tiny", "--quant", "q8", *told, "--dry-run", "--json").out)
    ran = command_line("convert", "tiny", "--quant", "q8", *told, "-o", "n.gguf", "--no-verify")
    assert ran.code == 0, ran.err
    texts = read_header(folder / "n.gguf").texts
    assert (texts["coalm.dialects"], texts["coalm.instructions"]) == ("dst,hammer", "short")
    assert planned["size_bytes"] == (folder / "n.gguf").stat().st_size


def test_an_importance_matrix_is_told_in_the_provenance(command_line: CommandLine, folder: Path) -> None:
    assert command_line("convert", str(NANO), "--quant", "f16", "-o", "f.gguf", "--no-verify").code == 0
    measured = command_line("imatrix", "f.gguf", "-o", "i.gguf", "--chunks", "1", "--context", "64", "-q")
    assert measured.code == 0, measured.err
    ran = command_line("convert", str(NANO), "--quant", "q2", "--imatrix", "i.gguf", "-o", "q.gguf", "--no-verify")
    assert ran.code == 0, ran.err
    header = read_header(folder / "q.gguf")
    record = read_provenance(header)
    assert record is not None
    assert record.imatrix is not None
    assert record.imatrix.chunks == 1
    assert header.texts["quantize.imatrix.file"] == "i.gguf"


@pytest.mark.parametrize(
    ("arguments", "code", "words", "hint"),
    [
        (["convert", "missing"], 2, "there is no folder or file missing", "hf:owner/repo"),
        (["convert", "tiny", "--quant", "q4_k_n"], 2, "'q4_k_n' is no kind of GGUF file", "q4_k_m"),
        (["convert", "tiny", "--to", "onnx", "--quant", "q4"], 2, "'q4' is no kind of ONNX model", "int4"),
        (["convert", "tiny", "--to", "onnx", "--imatrix", "x"], 2, "--imatrix is for GGUF alone", "gguf"),
        (["convert", "tiny", "-o", "there"], 2, "there is there already", "--force"),
        (["convert", "tiny", "-o", "tiny/config.json", "--force"], 2, "is what is to be converted", "another"),
        (["convert", "tiny", "-o", "no/out.gguf"], 1, "no: cannot be written", "folder"),
        (["convert", "tiny", "--imatrix", "missing.gguf"], 1, "missing.gguf", ""),
        (["convert", "tiny", "--metadata", "coalm.dialects"], 2, "'coalm.dialects' is not KEY=TEXT", "--metadata"),
        (["convert", "tiny", "--metadata", "llama.block_count=9"], 2, "'llama.block_count' cannot be set", "coalm."),
        (["convert", "tiny", "--metadata", "coalm.provenance={}"], 2, "'coalm.provenance' cannot be set", "itself"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_a_way_out(
    command_line: CommandLine, folder: Path, arguments: list[str], code: int, words: str, hint: str
) -> None:
    (folder / "there").write_text("before")
    ran = command_line(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert hint in ran.err.partition("hint: ")[2]
    assert names(folder) == ["there", "tiny"]
    assert (folder / "there").read_text() == "before"


def test_force_replaces_a_file(command_line: CommandLine, folder: Path) -> None:
    (folder / "out.gguf").write_text("before")
    assert command_line("convert", "tiny", "-o", "out.gguf", "--force", "--no-verify").code == 0
    assert (folder / "out.gguf").read_bytes()[:4] == b"GGUF"


def test_a_model_that_makes_no_call_is_an_error_and_the_file_stays_to_be_looked_at(
    command_line: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coalm_lite.converters import conversion
    from coalm_lite.store.provenance import Verification

    found = Verification(call="{", call_problem="no JSON", not_compared="the tool call failed")
    monkeypatch.setattr(conversion, "verify_conversion", lambda *_, **__: found)
    ran = command_line("convert", "tiny", "-o", "out.gguf")
    assert ran.code == 1
    assert "out.gguf: it made no valid tool call: no JSON" in ran.err
    assert (folder / "out.gguf").is_file()


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to a process in POSIX's way")
def test_an_interrupt_leaves_nothing(folder: Path) -> None:
    write_checkpoint(folder / "wide", Recipe(config=WIDE_SIZES))
    command = [sys.executable, "-m", "coalm_lite.cli", "convert", "wide", "--quant", "iq3_m", "-o", "out.gguf"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as running:
        journal = folder / "out.gguf.partial.journal"
        while not journal.is_file() or journal.read_bytes().count(b"\n") < 5:
            assert running.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()
    assert names(folder) == ["tiny", "wide"]


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal is POSIX's")
def test_a_terminal_shows_bytes_speed_and_time_left(folder: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    write_checkpoint(folder / "wide", Recipe(config=WIDE_SIZES))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    command = ["-m", "coalm_lite.cli", "convert", "wide", "--quant", "iq3_m", "--no-verify", "--threads", "1"]
    shown = pexpect.spawn(
        sys.executable, command, env=environment, timeout=120, encoding="utf-8", dimensions=(40, 160), cwd=str(folder)
    )
    shown.expect(r"converting .*MB of 6\.\d+ MB, [\d.]+ [kM]B/s")
    shown.expect(r"wide\.IQ3_M\.gguf is ready")
    shown.expect(pexpect.EOF)
    shown.close()
    assert shown.exitstatus == 0


@pytest.mark.parametrize("shards", [2, 60])
def test_a_dry_run_is_exact_however_many_files_the_provenance_names(
    command_line: CommandLine, folder: Path, shards: int
) -> None:
    source = write_checkpoint(folder / "many", Recipe(shards=2))
    for number in range(2, shards):
        (source / f"extra-{number}.json").write_text("{}")
    planned = json.loads(command_line("convert", "many", "--quant", "q8", "--dry-run", "--json").out)
    made = json.loads(command_line("convert", "many", "--quant", "q8", "--no-verify", "--json").out)
    assert planned["size_bytes"] == made["size_bytes"]
