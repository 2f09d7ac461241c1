"""The test hub itself: huggingface_hub takes it for a Hub, and each fault happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import requests

from tests.hub.conftest import FILES, KEY, MODEL_BYTES, REPOSITORY
from tests.hub.hub_server import Hub, Refusal

OWN_DOWNLOAD = """
import sys
from huggingface_hub import HfApi, hf_hub_download
for entry in HfApi().list_repo_tree(sys.argv[1], recursive=True):
    print(entry.path, entry.size, hf_hub_download(sys.argv[1], entry.path, cache_dir=sys.argv[2]), sep="\\t")
"""


def body(hub: Hub, **headers: str) -> requests.Response:
    return requests.get(
        f"{hub.endpoint}/{REPOSITORY}/resolve/main/{KEY.rpartition('/')[2]}", headers=headers, timeout=30
    )


def test_huggingface_hub_lists_and_downloads_from_it(hub: Hub, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWN_DOWNLOAD, REPOSITORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    found = {f"{REPOSITORY}/{path}": Path(local).read_bytes() for path, _, local in rows}
    assert found == FILES
    assert {f"{REPOSITORY}/{path}": int(size) for path, size, _ in rows} == {key: len(FILES[key]) for key in FILES}


def test_ranges_follow_the_standard(hub: Hub) -> None:
    part = body(hub, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, MODEL_BYTES[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(MODEL_BYTES)}"
    assert body(hub, Range="bytes=399990-").content == MODEL_BYTES[-10:]
    assert body(hub, Range="bytes=400000-").status_code == 416


def test_faults_happen_once_each_and_in_order(hub: Hub) -> None:
    hub.faults.flip = [100]
    hub.faults.refusals = [Refusal(503, "cdn")]
    assert body(hub).status_code == 503
    flipped = body(hub).content
    assert [at for at in range(len(MODEL_BYTES)) if flipped[at] != MODEL_BYTES[at]] == [100]
    assert body(hub).content == MODEL_BYTES


def test_a_replaced_file_is_a_new_commit_and_the_old_one_stays(hub: Hub) -> None:
    old = hub.commit_of(REPOSITORY)
    hub.replace(KEY, b"newer")
    assert hub.commit_of(REPOSITORY) != old
    assert body(hub).content == b"newer"
    url = f"{hub.endpoint}/{REPOSITORY}/resolve/{old}/{KEY.rpartition('/')[2]}"
    assert requests.get(url, timeout=30).content == MODEL_BYTES
