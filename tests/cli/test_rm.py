from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import read_default, set_default
from coalm_lite.store.local import local_models
from tests.cli.conftest import CommandLine
from tests.store.pulled import DATA, put


@pytest.fixture
def users() -> HubCache:
    """The cache of the test's own home."""
    return HubCache.of_user()


def at_a_terminal(answer: bytes, *arguments: str) -> tuple[int, str]:
    """Exit code and screen of the program at a terminal where `answer` is typed."""
    leader, follower = pty.openpty()
    with os.fdopen(leader, "r+b", buffering=0) as screen:
        screen.write(answer)
        command = [sys.executable, "-m", "coalm_lite.cli", *arguments]
        done = subprocess.run(command, stdin=follower, stdout=follower, stderr=follower, check=False)
        shown = screen.read(8000).decode()
    os.close(follower)
    return done.returncode, shown


def test_a_model_goes_with_its_bytes_and_others_stay(command_line: CommandLine, users: HubCache) -> None:
    model = put(users, name="one")
    two = put(users, b"2", name="two", path="2.gguf")
    outcome = command_line("rm", "one")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{model.place}: deleted, 21 B freed\n", "")
    assert local_models(users) == (two,)


def test_a_name_goes_with_all_its_revisions_and_a_place_alone(command_line: CommandLine, users: HubCache) -> None:
    old = put(users, b"old", name="m", pulled_at="2026-01-01T00:00:00Z")
    new = put(users, b"new", name="m", revision="second", pulled_at="2026-02-01T00:00:00Z")
    assert command_line("rm", old.place).code == 0
    assert local_models(users) == (new,)
    put(users, b"old", name="m", pulled_at="2026-01-01T00:00:00Z")
    assert len(command_line("rm", "m", "m").out.splitlines()) == 2
    assert list(users.root.iterdir()) == []


def test_bytes_that_another_name_leads_to_are_told_to_stay(command_line: CommandLine, users: HubCache) -> None:
    first = put(users, name="one")
    put(users, name="two", revision="second")
    assert "its bytes stay" in command_line("rm", first.place).out


def test_nothing_goes_when_one_of_the_names_is_wrong(command_line: CommandLine, users: HubCache) -> None:
    model = put(users, name="one")
    for name, code in (("nano", 2), ("./m.gguf", 2), ("8b-q4", 1), ("xyz", 2)):
        outcome = command_line("rm", "one", name)
        assert (outcome.code, outcome.out) == (code, "")
        assert "hint: " in outcome.err
    assert model.path.read_bytes() == DATA


def test_what_was_in_the_cache_before_goes_only_with_consent(command_line: CommandLine, users: HubCache) -> None:
    model = put(users, name="theirs", was_here=True)
    outcome = command_line("rm", "theirs")
    assert outcome.code == 2
    assert "theirs was in the cache before coalm-lite pulled it" in outcome.err
    assert "--yes" in outcome.err
    assert model.path.exists()
    code, shown = at_a_terminal(b"n\n", "rm", "theirs")
    assert (code, "Nothing was deleted." in shown) == (1, True)
    assert model.path.exists()
    code, shown = at_a_terminal(b"y\n", "rm", "theirs")
    assert (code, "deleted, 21 B freed" in shown) == (0, True)
    assert not model.path.exists()


def test_yes_is_consent(command_line: CommandLine, users: HubCache) -> None:
    model = put(users, name="theirs", was_here=True)
    assert command_line("rm", "theirs", "--yes").code == 0
    assert not model.path.exists()


def test_removing_the_default_makes_chat_use_the_embedded_model_again(
    command_line: CommandLine, users: HubCache
) -> None:
    put(users, name="one")
    put(users, b"2", name="two", path="2.gguf")
    set_default("one")
    assert command_line("rm", "two").err == ""
    assert read_default() == "one"
    assert "chat uses nano now" in command_line("rm", "one").err
    assert read_default() is None
    assert command_line("list").err.startswith("Nothing was pulled yet")
