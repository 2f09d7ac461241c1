"""Pulls that go wrong, for real: exit code, message, what is fetched again, never a wrong file under a final name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.fault_table import FAULTS, Fault, can_mount, no_network, scene

MOUNTING = ("disk", "read-only")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_ends_as_it_should(fault: Fault, tmp_path: Path) -> None:
    if fault.name.startswith(MOUNTING) and not can_mount():
        pytest.skip("disks cannot be mounted here")
    with scene(tmp_path) as place:
        outcome = fault.drive(place)
        assert (outcome.code, "Traceback" in outcome.err) == (fault.code, False), outcome
        assert fault.words in outcome.message
        assert fault.code == 0 or "hint: " in outcome.err
        assert place.is_complete() is fault.complete
        assert place.wrong_files() == []
        assert place.fetched_again_bytes() <= fault.again_share * place.model.stat().st_size + 1


def test_without_a_network_a_pull_says_so_and_chat_works_on_the_embedded_model(tmp_path: Path) -> None:
    with scene(tmp_path) as place:
        outcome = no_network(place)
        assert outcome.code == 1
        assert len(outcome.err.splitlines()) <= 4
        assert "`coalm-lite chat nano` needs no network" in outcome.err
        chat = subprocess.run(
            [sys.executable, "-m", "coalm_lite.cli", "chat", "--threads", "1", "--max-tokens", "16"],
            env=place.environment,
            cwd=place.folder,
            input="hello\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert chat.returncode == 0, chat.stderr
        assert "nano, the embedded model (cra" in chat.stdout + chat.stderr
