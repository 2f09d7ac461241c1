from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

from coalm_lite import paths
from coalm_lite.catalog import catalog
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import set_default
from coalm_lite.store.manifest import manifest_path
from tests.cli.conftest import CommandLine
from tests.store.pulled import put


def test_with_nothing_pulled_the_embedded_model_is_listed_and_the_way_to_more_told(command_line: CommandLine) -> None:
    outcome = command_line("list")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].split() == ["NAME", "SIZE", "QUANT", "PULLED"]
    assert outcome.out.splitlines()[1].startswith("*  nano  ")
    assert "coalm-lite list --remote" in outcome.err


def test_pulled_models_are_listed_newest_first_with_a_star_at_the_default(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    put(cache, b"x" * 1_234_567, name="8b-q4", pulled_at="2026-01-02T00:00:00Z")
    put(cache, b"2", name="mine", path="mine.gguf", pulled_at="2026-03-04T00:00:00Z")
    set_default("8b-q4")
    outcome = command_line("list")
    rows = [line.split() for line in outcome.out.splitlines()[1:]]
    assert rows[0] == ["mine", "1", "B", "Q4_K_M", "2026-03-04"]
    assert rows[1] == ["*", "8b-q4", "1.23", "MB", "Q4_K_M", "2026-01-02"]
    assert rows[2][0] == "nano"
    assert outcome.err == ""


def test_an_older_pull_of_a_name_says_how_to_delete_it_and_a_missing_file_that_it_is(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    old = put(cache, b"old", name="m", pulled_at="2026-01-01T00:00:00Z")
    put(cache, b"new", name="m", revision="second", pulled_at="2026-02-01T00:00:00Z").path.unlink()
    rows = command_line("list").out.splitlines()[1:]
    assert rows[0].endswith("the file is gone")
    assert f"`coalm-lite rm {old.place}`" in rows[1]


def test_json_has_the_same_and_paths_and_licences(command_line: CommandLine) -> None:
    model = put(HubCache.of_user(), name="mine")
    mine, nano = json.loads(command_line("list", "--json").out)
    assert (mine["name"], mine["path"], mine["place"]) == ("mine", str(model.path), model.place)
    assert (mine["size_bytes"], mine["license"], mine["default"], mine["note"]) == (21, "mit", False, "")
    assert (nano["name"], nano["default"]) == ("nano", True)
    assert nano["license"]


def test_a_damaged_record_is_a_warning_and_hides_no_other_model(command_line: CommandLine) -> None:
    cache = HubCache.of_user()
    bad = manifest_path(cache, put(cache, name="bad").manifest)
    put(cache, b"good", name="good", path="good.gguf")
    bad.write_text("{")
    outcome = command_line("list")
    assert outcome.code == 0
    assert "good" in outcome.out
    assert outcome.err.startswith(f"warning: the record {bad} is damaged")


def test_a_default_that_is_gone_is_a_warning(command_line: CommandLine) -> None:
    set_default("8b-q4")
    outcome = command_line("list")
    assert "warning: the default model cannot be used: 8b-q4 " in outcome.err
    assert "*  nano" in outcome.out


def test_names_from_the_hub_cannot_steer_the_terminal(command_line: CommandLine) -> None:
    put(HubCache.of_user(), name="a\x1b[2Jb\nc")
    outcome = command_line("list")
    assert "\x1b" not in outcome.out
    assert len(outcome.out.splitlines()) == 3


def test_remote_lists_the_catalog_with_memory_and_what_fits(command_line: CommandLine) -> None:
    put(HubCache.of_user(), name="8b-q4", repository="mradermacher/CoALM-8B-GGUF", path="CoALM-8B.Q4_K_M.gguf")
    offers = {offer["name"]: offer for offer in json.loads(command_line("list", "--remote", "--json").out)}
    assert set(offers) == {*catalog().files, "70b", "405b"}
    assert offers["8b-q4"]["here"]
    assert not offers["8b-q8"]["here"]
    for name, file in catalog().files.items():
        assert offers[name]["memory_bytes"] > file.approximate_bytes
        assert offers[name]["fits"] in ("yes", "not now", "no")
    assert (offers["70b"]["path"], offers["70b"]["fits"]) == ("", "unknown")


def test_remote_shows_a_users_own_entry_and_what_is_not_published(command_line: CommandLine) -> None:
    path = paths.config_dir() / "catalog.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[files.mine]\nrepository = "o/r"\npath = "p.gguf"\n')
    outcome = command_line("list", "--remote")
    assert outcome.code == 0
    assert "mine" in outcome.out
    assert "not published; uiuc-convai/CoALM-405B would be converted" in outcome.out
    assert "of memory" in outcome.err


def test_on_a_terminal_the_table_is_drawn() -> None:
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as screen:
        subprocess.run(
            [sys.executable, "-m", "coalm_lite.cli", "list"],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            check=True,
            env={**os.environ, "TERM": "xterm"},
        )
        shown = screen.read(8000).decode()
    os.close(follower)
    assert "nano" in shown
    assert "───" in shown
