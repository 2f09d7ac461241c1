"""`coalm-lite eval` with a server's address: what is told, what is refused, and that no key is shown."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite.evals.running.run_file import read_header, read_run
from tests.cli.conftest import CommandLine
from tests.runtime.model_server import ModelServer, model_server


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COALM_LITE_API_KEY", "sk-secret")
    with model_server(lambda _: "[]", key="sk-secret") as server:
        yield server


def test_a_server_is_asked_and_what_its_run_lacks_is_told(
    served: ModelServer, command_line: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    outcome = command_line("eval", served.address, "--items", "12", "-o", str(path))
    assert outcome.code == 0, outcome.err
    assert "smoke" in outcome.out and "compare with runs that were made with --no-grammar" in outcome.err
    run = read_run(path)
    assert run.header.model.source == served.address and not run.header.grammar
    assert all(asked.authorization == "Bearer sk-secret" for asked in served.requests)
    assert "sk-secret" not in path.read_text() + outcome.out + outcome.err


def test_a_run_by_chat_has_another_template(served: ModelServer, command_line: CommandLine, tmp_path: Path) -> None:
    headers = []
    for name, options in (("text", ()), ("chat", ("--chat",))):
        path = tmp_path / f"{name}.jsonl"
        outcome = command_line("eval", served.address, "--items", "6", "-o", str(path), *options)
        assert outcome.code == 0 and ("compare with runs by --chat alone" in outcome.err) == (name == "chat")
        headers.append(read_header(path))
    assert headers[0].suites[0].template_sha256 != headers[1].suites[0].template_sha256


def test_wrong_wishes_end_with_2_and_a_server_that_refuses_with_1(
    served: ModelServer, command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "run.jsonl")
    for options, words in (
        (("--model", "other"), "serves no model 'other'"),
        (("--threads", "2"), "are for models on this machine"),
        (("--ray",), "needs no cluster"),
        (("--workers", "2"), "--workers is for models that run here"),
    ):
        outcome = command_line("eval", served.address, "-o", path, *options)
        assert outcome.code == 2 and words in outcome.err, options
    served.missing = ("completions",)
    outcome = command_line("eval", served.address, "-o", path)
    assert outcome.code == 1 and "completions is not there" in outcome.err and "--chat" in outcome.err
    monkeypatch.setenv("COALM_LITE_API_KEY", "sk-other")
    outcome = command_line("eval", served.address, "-o", path)
    assert outcome.code == 1 and "status 401" in outcome.err and "sk-other" not in outcome.err
    assert not Path(path).exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_without_the_extra_its_name_is_told(command_line: CommandLine, tmp_path: Path) -> None:
    outcome = command_line("eval", "nano", "--ray", "-o", str(tmp_path / "run.jsonl"))
    assert outcome.code == 1 and "pip install 'coalm-lite[ray]'" in outcome.err
