from __future__ import annotations

import json
from pathlib import Path

import pytest

from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import local_models
from tests.cli.conftest import CommandLine
from tests.cli.test_rm import at_a_terminal
from tests.store.pulled import put

SIZE = 2_500_000


@pytest.fixture
def partial() -> Path:
    """An interrupted download in the cache of the test's own home, beside a whole model."""
    cache = HubCache.of_user()
    put(cache, name="whole")
    path = cache.partial("owner/repo", "ab" * 32)
    path.write_bytes(b"x" * SIZE)
    return path


def test_what_would_go_is_told_and_goes_only_with_consent(command_line: CommandLine, partial: Path) -> None:
    outcome = command_line("prune")
    assert outcome.code == 2
    assert outcome.out == f"an unfinished download (2.50 MB): {partial}\n"
    assert "--yes" in outcome.err
    code, shown = at_a_terminal(b"n\n", "prune")
    assert (code, "Nothing was deleted." in shown, partial.exists()) == (1, True, True)
    code, shown = at_a_terminal(b"y\n", "prune")
    assert (code, "2.50 MB freed." in shown, partial.exists()) == (0, True, False)
    assert local_models(HubCache.of_user())[0].present


def test_json_without_yes_only_tells(command_line: CommandLine, partial: Path) -> None:
    told = json.loads(command_line("prune", "--json").out)
    assert told["leftovers"] == [{"what": "an unfinished download", "paths": [str(partial)], "freed_bytes": SIZE}]
    assert (told["freed_bytes"], partial.exists()) == (0, True)
    done = json.loads(command_line("prune", "--json", "--yes").out)
    assert (done["leftovers"], done["freed_bytes"]) == (told["leftovers"], SIZE)
    assert not partial.exists()


def test_with_nothing_left_over_nothing_is_asked(command_line: CommandLine) -> None:
    outcome = command_line("prune")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "There is nothing to delete.\n")
