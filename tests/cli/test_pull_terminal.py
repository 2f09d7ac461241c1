"""`coalm-lite pull` on a real terminal: the questions about licence and building, and the bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.hub.hub_server import Hub, hub_server
from tests.pull.tiny_size import REPOSITORY, add_tiny_size

pexpect = pytest.importorskip("pexpect")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal is POSIX's")
KEY = "mradermacher/CoALM-8B-GGUF/CoALM-8B.Q4_K_M.gguf"
QUESTION = "Do you accept it"


@pytest.fixture
def hub(tiny_model: Path) -> Iterator[Hub]:
    with hub_server({KEY: tiny_model}) as running:
        yield running


def started(hub: Hub, model: str = "8b-q4") -> pexpect.spawn:
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "TERM": "xterm", "NO_COLOR": "1"}
    command = ["-m", "coalm_lite.cli", "pull", model]
    return pexpect.spawn(sys.executable, command, env=environment, timeout=120, encoding="utf-8", dimensions=(40, 160))


def test_a_licence_that_is_accepted_is_asked_about_once(hub: Hub) -> None:
    hub.faults.bytes_per_s = 2_000_000
    first = started(hub)
    first.expect(QUESTION)
    assert hub.body_bytes_sent() == 0
    first.sendline("y")
    first.expect(r"fetching \S+ .*of 5\.36 MB")
    first.expect("8b-q4 is ready")
    first.expect(pexpect.EOF)
    first.close()
    assert first.exitstatus == 0
    second = started(hub)
    assert second.expect([QUESTION, "nothing had to be fetched"]) == 1
    second.close()


def test_a_licence_that_is_not_accepted_ends_the_pull(hub: Hub) -> None:
    running = started(hub)
    running.expect(QUESTION)
    running.sendline("n")
    running.expect("the licence was not accepted, so nothing was fetched")
    running.expect(pexpect.EOF)
    running.close()
    assert (running.exitstatus, hub.body_bytes_sent()) == (1, 0)


def test_building_is_asked_about_after_it_was_said_what_it_takes(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "CoALM-tiny", Recipe())
    add_tiny_size(non_commercial=False)
    with hub_server({f"{REPOSITORY}/{path.name}": path for path in folder.iterdir()}) as hub:
        refused = started(hub, "tiny-q8")
        refused.expect("read as it comes and not stored")
        refused.expect("Build it now")
        refused.sendline("n")
        refused.expect("nothing was built")
        refused.expect(pexpect.EOF)
        assert hub.requests == []
        agreed = started(hub, "tiny-q8")
        agreed.expect("Build it now")
        agreed.sendline("y")
        agreed.expect("tiny-q8 is ready: built by coalm-lite")
        agreed.expect(pexpect.EOF)
