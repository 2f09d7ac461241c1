"""`coalm-lite doctor`: sees what is wrong and says how to mend it, shows no secret and changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from coalm_lite import paths
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import set_default
from tests.cli.conftest import CommandLine
from tests.cli.fault_table import can_mount
from tests.hub.hub_server import OTHER_TOKEN, TOKEN, hub_server

KEY = "mradermacher/CoALM-8B-GGUF/CoALM-8B.Q4_K_M.gguf"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def found(command_line: CommandLine, *arguments: str) -> tuple[int, Mapping[str, Mapping[str, Any]]]:
    outcome = command_line("doctor", "--json", *arguments)
    return outcome.code, {finding["subject"]: finding for finding in json.loads(outcome.out)}


def test_a_sound_machine_is_told_in_words_and_nothing_is_written(command_line: CommandLine) -> None:
    outcome = command_line("doctor", "--offline")
    assert (outcome.code, outcome.err) == (0, "")
    for words in (
        "llama-cpp-python 0.3",
        "CPU",
        " free of ",
        "8b-",
        "not asked because of --offline",
        "default    nano",
    ):
        assert words in outcome.out
    assert not paths.config_dir().parent.exists()
    assert not HubCache.of_user().root.exists()


def test_a_hub_that_answers_is_found(
    command_line: CommandLine, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server({KEY: tiny_model}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        code, findings = found(command_line)
    assert code == 0
    assert findings["hub"]["found"] == f"{hub.endpoint} answers: 8b-q4 is 5.36 MB"


def test_a_hub_that_does_not_answer_is_wrong(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, findings = found(command_line)
    assert code == 1
    assert findings["hub"]["is_wrong"]
    assert "no answer from http://127.0.0.1:9" in findings["hub"]["problem"]
    assert findings["hub"]["hint"]
    assert not findings["memory"]["is_wrong"], "one failed check hides no other"


def test_a_token_is_told_to_be_there_and_never_shown(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    outcome = command_line("doctor", "--offline")
    assert "set by HF_TOKEN" in outcome.out
    assert TOKEN not in outcome.out + outcome.err
    monkeypatch.delenv("HF_TOKEN")
    saved = Path(HubCache.of_user().root.parent / "token")
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_text(OTHER_TOKEN)
    assert OTHER_TOKEN not in command_line("doctor", "--offline").out


def test_a_default_model_that_is_gone_is_wrong(command_line: CommandLine) -> None:
    set_default("8b-q4")
    code, findings = found(command_line, "--offline")
    assert code == 1
    assert "the default model" in findings["default"]["problem"]


def test_a_damaged_record_is_wrong(command_line: CommandLine) -> None:
    own = HubCache.of_user().own("o/r")
    own.mkdir(parents=True)
    (own / "x.gguf.0123456789ab.json").write_text("{")
    code, findings = found(command_line, "--offline")
    assert code == 1
    assert "x.gguf.0123456789ab.json is damaged" in findings["models"]["problem"]


def test_a_bad_catalog_is_wrong_wherever_it_is_needed(command_line: CommandLine) -> None:
    paths.config_dir().mkdir(parents=True)
    (paths.config_dir() / "catalog.toml").write_text("what = 1")
    code, findings = found(command_line, "--offline")
    assert code == 1
    assert "catalog.toml" in findings["catalog"]["problem"]
    assert findings["disk"]["found"]


def test_an_address_that_is_none_is_wrong(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "huggingface")
    code, findings = found(command_line, "--offline")
    assert code == 1
    assert "HF_ENDPOINT is 'huggingface'" in findings["hub"]["problem"]


def test_a_read_only_cache_is_wrong(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_mount():
        pytest.skip("disks cannot be mounted here")
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("HF_HOME", str(disk))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", disk], check=True)
    try:
        code, findings = found(command_line, "--offline")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert code == 1
    assert findings["cache"]["problem"] == f"cannot be written: {disk}"
    assert "read-only" in findings["cache"]["hint"]
    assert findings["disk"]["problem"], "and a disk of 1 MB is too small"
