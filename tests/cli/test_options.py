from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click
import pytest

from coalm_lite.cli.chat import chat
from coalm_lite.cli.options import MAX_STEPS, SessionOptions
from coalm_lite.cli.run import run
from coalm_lite.types import Sampling


def parsed(command: click.Command, *arguments: str) -> dict[str, Any]:
    return command.make_context("test", list(arguments)).params


def options(command: click.Command, *arguments: str) -> SessionOptions:
    given = parsed(command, *arguments)
    return SessionOptions.read(given.pop("model"), given)


@pytest.mark.parametrize("command", [chat, run], ids=["chat", "run"])
def test_every_field_of_sampling_is_an_option_with_its_default(command: click.Command) -> None:
    assert options(command, "m", *(["text"] if command is run else [])).sampling == Sampling()
    for field in fields(Sampling):
        option = next(parameter for parameter in command.params if parameter.name == field.name)
        assert isinstance(option, click.Option)
        assert option.help


def test_what_is_given_arrives() -> None:
    sampling = Sampling(0.5, 40, 0.9, 0.05, 1.1, 128, 7, 99)
    words = [word for name, value in asdict(sampling).items() for word in ("--" + name.replace("_", "-"), str(value))]
    session = ["--tools", "demo", "--tools", "t.py", "--database", "b.db", "--system", "Be brief.", "--dialect", "bfcl"]
    engine = ["--max-steps", "3", "--context", "512", "--threads", "2", "--gpu-layers", "-1"]
    assert options(chat, "m", *words, *session, *engine) == SessionOptions(
        model="m",
        tools=("demo", "t.py"),
        database=Path("b.db"),
        system="Be brief.",
        dialect="bfcl",
        max_steps=3,
        sampling=sampling,
        context_tokens=512,
        threads=2,
        gpu_layers=-1,
    )


def test_what_is_not_given_is_left_to_the_default_model_and_the_machine() -> None:
    assert parsed(chat)["model"] is None
    assert options(chat, "nano") == SessionOptions(
        model="nano",
        tools=(),
        database=None,
        system="",
        dialect=None,
        max_steps=MAX_STEPS,
        sampling=Sampling(),
        context_tokens=None,
        threads=None,
        gpu_layers=None,
    )
