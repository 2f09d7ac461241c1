"""`coalm-lite data`: what is fetched and listed, and wrong usage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coalm_lite.evals.data import pins
from coalm_lite.evals.data.files import find_data
from tests.cli.conftest import CommandLine
from tests.evals.data.data_server import data_server
from tests.evals.data.made_suites import FILES, apibank


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """One suite, of files made here, in the place of the published ones."""
    monkeypatch.setattr(pins, "pinned_suites", lambda: {"apibank": apibank()})


def test_a_suite_is_fetched_listed_and_found(command_line: CommandLine) -> None:
    assert "not here" in command_line("data", "list").out
    with data_server({f"apibank/{path}": content for path, content in FILES.items()}) as server:
        outcome = command_line("data", "fetch", "apibank", "--from", server.address)
        again = command_line("data", "fetch", "apibank", "--from", server.address, "-q")
    assert (outcome.code, outcome.out) == (0, "")
    assert "made here (CC0), nowhere" in outcome.err and "fetching 100 %" in outcome.err
    assert (again.code, again.err) == (0, "")
    (listed,) = json.loads(command_line("data", "list", "--json").out)
    assert (listed["state"], listed["files"], listed["path"]) == ("fetched", 2, str(find_data("apibank")))


def test_another_folder_can_be_fetched_into_and_looked_at(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "copy" / "apibank" / "below").mkdir(parents=True)
    for path, content in FILES.items():
        (tmp_path / "copy" / "apibank" / path).write_bytes(content)
    copy, home = str(tmp_path / "copy"), str(tmp_path / "home")
    assert "here, not by data fetch" in command_line("data", "list", "--data-dir", copy).out
    outcome = command_line("data", "fetch", "apibank", "--from", copy, "--data-dir", home, "--json")
    assert json.loads(outcome.out)[0]["path"] == str(tmp_path / "home" / "apibank")
    assert find_data("apibank", tmp_path / "home").is_dir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch"], "needs the name of a suite"),
        (["fetch", "smoke"], "'smoke'"),
        (["list", "--from", "x"], "takes no --from"),
        (["fetch", "apibank", "--from", "ftp://x"], "'ftp://x' is no mirror"),
        (["bring"], "fetch"),
    ],
)
def test_wrong_usage_is_told(command_line: CommandLine, arguments: list[str], words: str) -> None:
    outcome = command_line("data", *arguments)
    assert outcome.code == 2 and words in outcome.err


def test_what_cannot_be_fetched_is_an_error_with_a_way_out(command_line: CommandLine, tmp_path: Path) -> None:
    outcome = command_line("data", "fetch", "apibank", "--from", str(tmp_path))
    assert (outcome.code, outcome.out) == (1, "")
    assert "error: there is no" in outcome.err and "hint: " in outcome.err
