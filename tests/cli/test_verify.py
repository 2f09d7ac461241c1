from __future__ import annotations

import json

from coalm_lite.store.cache import HubCache
from tests.cli.conftest import CommandLine
from tests.runtime.gguf_bytes import model_file
from tests.store.pulled import put


def test_all_pulled_models_are_checked_and_unchanged_ones_are_fine(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    put(cache, model_file(), name="one", pulled_at="2026-02-01T00:00:00Z")
    put(cache, model_file({"llama.context_length": 32}), name="two", path="2.gguf")
    outcome = command_line("verify")
    assert (outcome.code, outcome.out, outcome.err) == (0, "one: fine\ntwo: fine\n", "")
    assert command_line("verify", "two", "two").out == "two: fine\n"


def test_a_changed_file_is_exit_code_1_and_says_how_to_mend_it(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    model = put(cache, model_file(), name="one")
    put(cache, b"no model", name="two", path="2.gguf")
    data = bytearray(model.path.read_bytes())
    data[-1] ^= 1
    model.path.resolve().write_bytes(data)
    outcome = command_line("verify")
    assert outcome.code == 1
    assert "one: changed bytes: its hash is " in outcome.out
    assert "two: bad header: " in outcome.out
    assert "`coalm-lite rm one` and `coalm-lite pull one`" in outcome.err
    states = {result["name"]: result["state"] for result in json.loads(command_line("verify", "--json").out)}
    assert states == {"one": "changed bytes", "two": "bad header"}


def test_with_nothing_pulled_there_is_nothing_to_check(command_line: CommandLine) -> None:
    outcome = command_line("verify")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Nothing was pulled yet." in outcome.err
    assert json.loads(command_line("verify", "--json").out) == []


def test_what_was_not_pulled_cannot_be_verified(command_line: CommandLine) -> None:
    for name, code in (("nano", 2), ("./m.gguf", 2), ("8b-q4", 1), ("xyz", 2)):
        outcome = command_line("verify", name)
        assert (outcome.code, outcome.out) == (code, "")
        assert "hint: " in outcome.err
