from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coalm_lite.cli import COMMANDS, commands
from coalm_lite.cli.reference import BEGIN, END, command, reference, with_reference
from coalm_lite.errors import UsageError

PAGE = f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n"


def test_the_reference_names_every_command_and_every_option() -> None:
    text = reference()
    for name in COMMANDS:
        section = text.partition(f"### coalm-lite {name}\n")[2].partition("\n### ")[0]
        found = commands.get_command(click.Context(commands), name)
        assert found is not None
        options = [parameter.opts[-1] for parameter in found.params if isinstance(parameter, click.Option)]
        assert options
        for option in options:
            assert f"`{option}" in section


def test_an_option_is_explained_once() -> None:
    assert reference().count("How freely tokens are drawn") == 1
    assert "- as for `chat`: `--tools`" in reference()


@pytest.mark.parametrize("columns", ["20", "300"])
def test_the_reference_does_not_depend_on_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reference()
    monkeypatch.setenv("COLUMNS", columns)
    assert reference() == expected


def test_the_reference_takes_the_place_of_the_old_one_and_nothing_else() -> None:
    page = with_reference(PAGE, "page.md")
    assert page.startswith(f"# Title\n\n{BEGIN}\n")
    assert page.endswith(f"{END}\n\nMore.\n")
    assert reference() in page
    assert "old" not in page.split("\n")
    assert with_reference(page, "page.md") == page


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(UsageError, match=r"page\.md lacks the markers"):
        with_reference(page, "page.md")


def test_check_fails_until_write_was_run(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    check = CliRunner().invoke(command, ["--check", str(path)], standalone_mode=False)
    assert check.return_value == 1
    assert "outdated" in check.stderr
    assert path.read_text() == PAGE
    CliRunner().invoke(command, ["--write", str(path)], standalone_mode=False)
    assert CliRunner().invoke(command, ["--check", str(path)], standalone_mode=False).return_value == 0


def test_without_a_page_the_reference_is_printed() -> None:
    assert CliRunner().invoke(command, []).output == reference()
