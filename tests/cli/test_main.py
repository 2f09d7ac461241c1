from __future__ import annotations

import subprocess
import sys

import click
import pytest

import coalm_lite
from coalm_lite.cli import COMMANDS, commands
from tests.cli.conftest import CommandLine

HEAVY = {"llama_cpp", "numpy", "pydantic", "rich", "prompt_toolkit", "huggingface_hub", "psutil", "logging"}


def modules_after(*arguments: str) -> set[str]:
    code = "import sys, atexit; atexit.register(lambda: print(*sys.modules)); from coalm_lite.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_no_command_and_nothing_heavy() -> None:
    loaded = modules_after("--help")
    assert "click" in loaded
    assert not loaded & HEAVY
    assert not loaded & {f"coalm_lite.cli.{name}" for name in COMMANDS}


def test_the_help_of_a_command_loads_no_engine() -> None:
    loaded = modules_after("chat", "--help")
    assert "coalm_lite.cli.chat" in loaded
    assert not loaded & (HEAVY - {"logging"})


def test_help_lists_every_command_with_its_line(command_line: CommandLine) -> None:
    outcome = command_line("--help")
    assert outcome.code == 0
    for name, line in COMMANDS.items():
        assert f"  {name}" in outcome.out
        assert line in outcome.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_listed_command_exists_and_its_line_begins_its_help(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").startswith(COMMANDS[name])


def test_version_names_program_and_version(command_line: CommandLine) -> None:
    outcome = command_line("--version")
    assert (outcome.code, outcome.out) == (0, f"coalm-lite {coalm_lite.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chta",), "No such command 'chta'. Did you mean chat?"),
        (("xyz",), "No such command 'xyz'."),
        (("chat", "--no-such"), "No such option"),
        (("chat", "--threads", "0"), "--threads"),
        (("chat", "--dialect", "latin"), "latin"),
        (("run", "nano"), "Missing argument 'TEXT'"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what(
    command_line: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    outcome = command_line(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert not outcome.out


def test_the_module_runs_as_the_program_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coalm_lite.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"coalm-lite {coalm_lite.__version__}\n"
