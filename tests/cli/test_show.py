from __future__ import annotations

import json
from pathlib import Path

from coalm_lite.store.cache import HubCache
from coalm_lite.store.names import resolve_model
from tests.cli.conftest import CommandLine
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
