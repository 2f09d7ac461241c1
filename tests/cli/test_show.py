from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from coalm_lite.store.cache import HubCache
from coalm_lite.store.names import resolve_model
from coalm_lite.store.provenance import (
    KEY,
    Agreement,
    ImportanceMatrix,
    Provenance,
    Score,
    SourceFile,
    TensorErrors,
    Verification,
    as_json,
    reserve,
)
from tests.cli.conftest import CommandLine
from tests.onnx_models import FP32
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import put


def test_what_is_known_of_the_embedded_model_is_shown_a_line_each(command_line: CommandLine) -> None:
    outcome = command_line("show", "nano")
    assert (outcome.code, outcome.err) == (0, "")
    shown = {line.split()[0]: line.partition(" ")[2].strip() for line in outcome.out.splitlines()}
    assert shown["model"] == "nano"
    assert shown["quant"] == "Q8_0"
    assert shown["template"] == "same"
    assert shown["context"] == "2048 tokens at most, 2048 unless asked for more"
    assert shown["architecture"] == "llama, 6.82 million parameters"
    assert "KV cache" in shown["memory"]
    assert shown["dialects"] == "cra, dst, hammer"
    assert "CC-BY-SA" in shown["licence"]
    assert "sha256" not in shown


def test_a_pulled_model_shows_source_revision_and_hash(command_line: CommandLine) -> None:
    model = put(HubCache.of_user(), model_file({"coalm.score.jga": 0.25}), name="mine")
    out = command_line("show", "mine").out
    for words in (model.place, model.manifest.sha256, "mit", str(model.path), "score jga"):
        assert words in out


def test_json_has_the_same_values(command_line: CommandLine) -> None:
    facts = json.loads(command_line("show", "nano", "--json").out)
    assert facts["path"] == str(resolve_model("nano").path)
    assert facts["template"] == {"kind": "same", "problem": ""}
    memory = facts["memory"]
    assert memory["total_bytes"] == memory["weights_bytes"] + memory["kv_bytes"] + memory["buffer_bytes"]
    assert memory["kv_bytes"] == 2048 * 3 * 1024
    assert facts["context_tokens"] == 2048


def test_what_a_file_says_cannot_steer_the_terminal_or_take_a_line(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(model_file({"general.license": "x\x1b[2J\nmodel  fake", "coalm.score.a\x1bb": "y"}))
    out = command_line("show", str(path)).out
    assert "\x1b" not in out
    assert [line.split()[0] for line in out.splitlines()].count("model") == 1


def test_what_is_no_model_or_not_here_is_an_error(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"no model")
    for name, words in ((str(tmp_path / "x.gguf"), "not a GGUF file"), ("8b-q4", "is not on this machine")):
        outcome = command_line("show", name)
        assert (outcome.code, outcome.out) == (1, "")
        assert words in outcome.err
        assert "hint: " in outcome.err


RECORD = Provenance(
    source="owner/repo",
    revision="abc",
    files=(SourceFile(name="model.safetensors", size_bytes=16_000_000, sha256="0" * 64),),
    converter="coalm-lite",
    converter_version="0.1.0",
    llama_cpp="llama-cpp-python 0.3.36",
    quant="q4_k_m",
    imatrix=ImportanceMatrix(sha256="f" * 64, datasets=("calls.txt",), chunks=12),
    attribution=("Built with Llama",),
    errors=TensorErrors(tensors=3, worst=0.099, worst_tensor="output.weight", by_type={"F32": 0.0, "Q4_K": 0.071}),
    verification=Verification(
        dialect="cra",
        call="Action: f(a=1)",
        agreement=Agreement(
            base="owner/repo", positions=512, top1=0.9765, kl_mean=0.0123, kl_standard_error=0.0011, kl_p99=0.2
        ),
    ),
    scores=(Score(name="multiwoz.jga", value=30.1, items=7372, standard_error=0.5, base=30.4),),
)


def shown(command_line: CommandLine, path: Path, text: str | None) -> dict[str, str]:
    """What `show` prints of a file with this provenance, by the lines' names."""
    path.write_bytes(model_file({KEY: text}))
    outcome = command_line("show", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    lines = [re.split(r"  +", line, maxsplit=1) for line in outcome.out.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def test_provenance_errors_agreement_and_scores_are_a_line_each(command_line: CommandLine, tmp_path: Path) -> None:
    found = shown(command_line, tmp_path / "m.gguf", reserve(RECORD))
    expected = {
        "source": "owner/repo@abc",
        "source files": "model.safetensors, 16.0 MB, sha256 recorded",
        "attribution": "Built with Llama",
        "converter": "coalm-lite 0.1.0, llama-cpp-python 0.3.36",
        "recipe": "q4_k_m",
        "imatrix": "sha256 ffffffffffff, 12 chunks of calls.txt",
        "errors": "Q4_K 7.1 %; at most 9.9 % in output.weight",
        "tool call": "Action: f(a=1) (cra)",
        "logits": "same top token at 97.7 % of 512 places, KL divergence 0.0123 ± 0.0011 (99th percentile 0.2),"
        " against owner/repo",
        "score multiwoz.jga": "30.1 ± 0.5 of 7372 items, the 16-bit model 30.4",
    }
    assert {name: found.get(name) for name in expected} == expected


def test_what_a_record_does_not_tell_takes_no_line(command_line: CommandLine, tmp_path: Path) -> None:
    without = shown(command_line, tmp_path / "m.gguf", None)
    assert shown(command_line, tmp_path / "m.gguf", reserve(Provenance())).keys() == without.keys()
    failed = Verification(call="x", call_problem="the answer has no call", not_compared="needs 17.1 GB of memory")
    found = shown(command_line, tmp_path / "m.gguf", reserve(Provenance(verification=failed)))
    assert found["tool call"] == "failed: the answer has no call"
    assert found["logits"] == "not compared: needs 17.1 GB of memory"
    assert found.keys() - without.keys() == {"tool call", "logits"}


def test_json_has_the_record_as_it_stands_in_the_file(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(model_file({KEY: reserve(RECORD)}))
    facts = json.loads(command_line("show", str(path), "--json").out)
    assert facts["provenance"] == as_json(RECORD)
    assert facts["provenance_problem"] == ""
    assert json.loads(command_line("show", "nano", "--json").out)["provenance"] is None


def test_hostile_provenance_cannot_steer_the_terminal_or_fill_it(command_line: CommandLine, tmp_path: Path) -> None:
    words = "\x1b[2J\x9b\x07" + "long " * 700
    record = replace(
        RECORD,
        source=words,
        converter=words,
        quant=f"{words}\nmodel  fake",
        attribution=(words,) * 40,
        errors=TensorErrors(
            tensors=1, worst=1e300, worst_tensor=words, by_type={f"{n}{words}": 0.5 for n in range(99)}
        ),
        verification=Verification(call=words, dialect=words, not_compared=words),
        scores=tuple(Score(name=f"{n}", value=1e308, items=1) for n in range(1000)),
    )
    path = tmp_path / "m.gguf"
    path.write_bytes(model_file({KEY: reserve(record), "general.license": words, "coalm.score.a": words}))
    out = command_line("show", str(path)).out
    assert not set(out) & {"\x1b", "\x9b", "\x07"}
    assert len(out) < 10_000
    assert [line.split()[0] for line in out.splitlines()].count("model") == 1


def test_damaged_provenance_is_one_line_and_no_failure(command_line: CommandLine, tmp_path: Path) -> None:
    found = shown(command_line, tmp_path / "m.gguf", '{"format": 1, "source": 7}')
    assert found["provenance"].startswith("the file's provenance (coalm.provenance) cannot be read: 'source'")
    assert "quant" in found


def test_an_onnx_folder_is_shown_like_any_model(command_line: CommandLine) -> None:
    outcome = command_line("show", str(FP32))
    assert outcome.code == 0
    for words in ("everything fp32", "source files", "hammer, cra", "101312 parameters"):
        assert words in outcome.out
    assert json.loads(command_line("show", str(FP32), "--json").out)["memory"] is None
