"""What of huggingface_hub is used: nothing is sent that nobody asked for, and the cache's rules are the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.conftest import KEY, REPOSITORY
from tests.hub.hub_server import Hub

ROOT = Path(__file__).parents[2]
FIND = """
import sys
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.places import parse_place
print(HubClient().find(parse_place(sys.argv[1])).etag)
"""
HEAVY = """
import sys
import coalm_lite.hub.client, coalm_lite.hub.download
print([name for name in ("huggingface_hub", "requests", "httpx") if name in sys.modules])
"""


def output_of(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_finding_a_file_asks_for_its_metadata_and_for_nothing_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    assert output_of(FIND, f"hf:{KEY}") == hub.hash_of(KEY)
    asked = [request.path for request in hub.requests]
    assert len(asked) == 2
    assert asked[0].startswith(f"/api/models/{REPOSITORY}/revision/main")
    assert asked[1] == f"/{REPOSITORY}/resolve/{hub.commit_of(REPOSITORY)}/{KEY.rpartition('/')[2]}"


def test_importing_the_hub_part_loads_no_library() -> None:
    assert output_of(HEAVY) == "[]"
