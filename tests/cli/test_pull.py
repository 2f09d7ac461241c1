"""`coalm-lite pull` in this process, against a real hub: what it says, asks and returns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import read_default, set_default
from tests.cli.conftest import CommandLine
from tests.hub.hub_server import Hub, hub_server

REPOSITORY = "mradermacher/CoALM-8B-GGUF"
KEY = f"{REPOSITORY}/CoALM-8B.Q4_K_M.gguf"
FREE_KEY = "someone/Free-GGUF/free.Q8_0.gguf"
FREE = f"hf:{FREE_KEY}"


@pytest.fixture
def hub(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    licenses = {REPOSITORY: "cc-by-nc-4.0", "someone/Free-GGUF": "apache-2.0"}
    with hub_server({KEY: tiny_model, FREE_KEY: tiny_model}, licenses) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def test_a_pull_says_what_it_takes_before_the_first_byte(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", FREE)
    assert outcome.code == 0
    said, _, progress = outcome.err.partition("fetching")
    for words in ("free.Q8_0.gguf of someone/Free-GGUF at ", "5.36 MB", "is free", "2048 tokens", "apache-2.0"):
        assert words in said
    assert "100 %" in progress
    assert outcome.out == f"{FREE} is ready: fetched 5.36 MB. `coalm-lite chat` uses it now.\n"
    assert read_default() == FREE


def test_a_dry_run_says_the_same_and_does_nothing(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", "8b-q4", "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    assert "5.36 MB" in outcome.out
    assert "(you will be asked)" in outcome.out
    assert hub.body_bytes_sent() == 0
    assert not HubCache.of_user().root.exists()
    assert read_default() is None


def test_a_dry_run_in_json_has_every_number(command_line: CommandLine, hub: Hub) -> None:
    plan = json.loads(command_line("pull", "8b-q4", "--dry-run", "--json", "--context", "1000").out)
    assert (plan["etag"], plan["size_bytes"], plan["missing_bytes"]) == (hub.hash_of(KEY), 5363648, 5363648)
    assert plan["memory"]["kv_bytes"] == 1024 * 128 << 10
    assert sum(plan["memory"].values()) == 2 * plan["memory"]["total_bytes"]
    assert (plan["context_tokens"], plan["needs_consent"], plan["obstacles"]) == (1000, True, [])


def test_a_pull_in_json_is_one_object(command_line: CommandLine, hub: Hub) -> None:
    done = json.loads(command_line("pull", FREE, "--json", "-q").out)
    assert (done["name"], done["fetched_bytes"], done["resumed_bytes"]) == (FREE, 5363648, 0)
    assert Path(done["file"]).is_file()


def test_quiet_leaves_the_last_line(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", FREE, "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert "is ready" in outcome.out


def test_a_non_commercial_licence_must_be_accepted_once(command_line: CommandLine, hub: Hub) -> None:
    refused = command_line("pull", "8b-q4")
    assert refused.code == 2
    assert "CC-BY-NC-4.0" in refused.err
    assert "--accept-license" in refused.err
    assert hub.body_bytes_sent() == 0
    assert command_line("pull", "8b-q4", "--accept-license").code == 0
    again = command_line("pull", "8b-q4")
    assert again.code == 0
    assert "nothing had to be fetched" in again.out


def test_what_does_not_fit_is_refused_unless_forced(command_line: CommandLine, hub: Hub) -> None:
    context = ["--context", "100000000"]
    refused = command_line("pull", FREE, *context)
    assert refused.code == 1
    assert "of memory with a context of 100000000 tokens, and this machine has" in refused.err
    assert command_line("pull", FREE, *context, "--dry-run").code == 1
    assert hub.body_bytes_sent() <= 2 * 256 << 10, "only the file's first bytes were looked at"
    assert command_line("pull", FREE, *context, "--force").code == 0


def test_a_pulled_model_needs_no_hub(command_line: CommandLine, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = command_line("pull", FREE, "--offline")
    assert missing.code == 1
    assert "--offline forbids" in missing.err
    assert hub.requests == []
    command_line("pull", FREE)
    asked = len(hub.requests)
    set_default("nano")
    dry = command_line("pull", FREE, "--offline", "--dry-run")
    assert (dry.code, read_default()) == (0, "nano")
    assert f"{FREE} is here as it was pulled at" in dry.out
    offline = command_line("pull", FREE, "--offline")
    assert (offline.code, read_default()) == (0, FREE)
    assert offline.err == "warning: the Hub was not asked because of --offline\n"
    assert len(hub.requests) == asked
    hub.repositories["someone/Free-GGUF"].private = True
    gone = command_line("pull", FREE)
    assert gone.code == 0, "the Hub no longer shows it, and it is here"
    assert "warning: the Hub shows no repository" in gone.err


def test_a_quant_that_nobody_published_says_what_building_it_takes(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", "70b-q4")
    assert outcome.code == 1
    for words in ("141 GB", "3 h 8 min at 100 Mbit/s", "uiuc-convai/CoALM-70B", "needs 42.5 GB,"):
        assert words in outcome.out
    assert "nobody has published 70b-q4, but it can be built from uiuc-convai/CoALM-70B" in outcome.err
    assert json.loads(command_line("pull", "405b-q8", "--json").out)["build"]["download_bytes"] == 811_706_777_600
    assert hub.requests == []


def test_a_licence_from_the_hub_cannot_steer_the_terminal(command_line: CommandLine, hub: Hub) -> None:
    hub.repositories["someone/Free-GGUF"].license = "free\x1b[2J\rfake"
    outcome = command_line("pull", FREE, "--dry-run")
    assert outcome.code == 0
    assert not {"\x1b", "\r"} & set(outcome.out)
