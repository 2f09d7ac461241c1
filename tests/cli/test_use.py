from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import read_default, set_default
from tests.cli.conftest import CommandLine, scripted
from tests.onnx_models import FP32, copied
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import put


def chat_model(command_line: CommandLine) -> tuple[object, str]:
    """The path that chat opens when no model is named, and what it writes on standard error."""
    models = scripted("System: Hello.")
    outcome = command_line("chat", "--tools", "none", "-q", stdin="hi\n", models=models)
    assert outcome.code == 0
    return models.opened[0]["path"], outcome.err


def test_the_chosen_model_is_what_chat_opens(command_line: CommandLine) -> None:
    model = put(HubCache.of_user(), model_file(), name="mine")
    outcome = command_line("use", "mine")
    assert (outcome.code, outcome.out) == (0, "chat uses mine now.\n")
    assert chat_model(command_line) == (model.path, "")
    command_line("use", "nano")
    path, _ = chat_model(command_line)
    assert Path(str(path)).name == "coalm-nano.Q8_0.gguf"


def test_a_place_stays_a_place_and_a_path_becomes_absolute(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = put(HubCache.of_user(), model_file(), name="mine")
    command_line("use", model.place)
    assert read_default() == model.place
    assert chat_model(command_line) == (model.path, "")
    (tmp_path / "m.gguf").write_bytes(model_file())
    monkeypatch.chdir(tmp_path)
    command_line("use", "m.gguf")
    monkeypatch.chdir("/")
    assert chat_model(command_line) == (tmp_path / "m.gguf", "")


def test_an_onnx_folder_can_be_chosen(command_line: CommandLine, tmp_path: Path) -> None:
    folder = copied(FP32, tmp_path / "m")
    assert command_line("use", str(folder)).code == 0
    assert chat_model(command_line) == (folder, "")
    (folder / "model.onnx").unlink()
    assert command_line("use", str(folder)).code == 1


@pytest.mark.parametrize(("name", "code"), [("8b-q4", 1), ("naano", 2), ("/no/where.gguf", 1), ("text.gguf", 1)])
def test_what_cannot_be_used_is_not_chosen(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.gguf").write_text("no model")
    set_default("nano")
    outcome = command_line("use", name)
    assert (outcome.code, outcome.out) == (code, "")
    assert "hint: " in outcome.err
    assert read_default() == "nano"


def test_chat_says_when_the_chosen_model_is_gone_and_goes_on_with_the_embedded_one(command_line: CommandLine) -> None:
    model = put(HubCache.of_user(), model_file(), name="mine")
    command_line("use", "mine")
    model.path.unlink()
    path, words = chat_model(command_line)
    assert Path(str(path)).name == "coalm-nano.Q8_0.gguf"
    assert words.startswith("the default model cannot be used: mine was pulled, but the file is gone")
    assert "coalm-lite use NAME" in words
