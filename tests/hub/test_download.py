"""A download against a hub that does everything wrong: what is on disk in the end, what came again, what is said."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coalm_lite.errors import CoalmError, HubError, StoreError
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.download import Downloaded, download
from coalm_lite.hub.partial import companion_of
from coalm_lite.hub.places import HubPlace
from coalm_lite.hub.progress import Progress
from coalm_lite.hub.remote import RemoteFile
from tests.hub.conftest import KEY, MODEL, MODEL_BYTES, QUICK, REPOSITORY, content
from tests.hub.hub_server import TOKEN, Hub, Refusal

SIZE = len(MODEL_BYTES)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def remote(hub: Hub) -> RemoteFile:
    found = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, MODEL))
    hub.requests.clear()
    return found


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "own" / "model.partial"


def fetch(remote: RemoteFile, partial: Path) -> Downloaded:
    return download(remote, partial, lambda _: None, QUICK)


def failure_of(remote: RemoteFile, partial: Path) -> CoalmError:
    with pytest.raises(CoalmError) as caught:
        fetch(remote, partial)
    return caught.value


def leave(remote: RemoteFile, partial: Path, first: bytes, **changed: object) -> None:
    """A partial as an earlier call left it."""
    partial.parent.mkdir(exist_ok=True)
    partial.write_bytes(first)
    told = {"etag": remote.etag, "size_bytes": remote.size_bytes, "repository": REPOSITORY, "path": MODEL} | changed
    companion_of(partial).write_text(json.dumps(told))


def test_the_bytes_come_once_and_are_right(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    assert fetch(remote, partial) == Downloaded(SIZE, 0, 0)
    assert partial.read_bytes() == MODEL_BYTES
    assert hub.body_bytes_sent() == SIZE


def test_a_file_in_git_is_checked_by_gits_hash(hub: Hub, partial: Path) -> None:
    readme = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, "README.md"))
    fetch(readme, partial)
    assert partial.read_bytes() == b"A model for tests.\n"
    hub.faults.flip = [3, 3]
    partial.unlink()
    assert "hash" in failure_of(readme, partial).message


def test_an_empty_file_needs_no_bytes(hub: Hub, partial: Path) -> None:
    hub.replace(f"{REPOSITORY}/empty.gguf", b"")
    empty = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, "empty.gguf"))
    assert fetch(empty, partial) == Downloaded(0, 0, 0)
    assert partial.read_bytes() == b""


@pytest.mark.parametrize("percent", [1, 50, 99])
def test_a_cut_connection_is_continued_without_fetching_a_byte_twice(
    hub: Hub, remote: RemoteFile, partial: Path, percent: int
) -> None:
    hub.faults.cut_after = [SIZE * percent // 100]
    done = fetch(remote, partial)
    assert partial.read_bytes() == MODEL_BYTES
    assert done == Downloaded(SIZE, 0, 0)
    cdn = [request.range for request in hub.requests if request.where == "cdn"]
    assert cdn == ["", f"bytes={SIZE * percent // 100}-"]


def test_many_cuts_that_each_bring_something_are_no_failure(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.cut_after = [SIZE // 20] * 15
    assert fetch(remote, partial) == Downloaded(SIZE, 0, 0)


def test_cuts_that_bring_nothing_end_and_keep_what_came(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.cut_after = [1000, *[0] * 50]
    error = failure_of(remote, partial)
    assert isinstance(error, HubError) and hub.cdn in error.message
    assert partial.read_bytes() == MODEL_BYTES[:1000]
    hub.faults.cut_after = []
    assert fetch(remote, partial) == Downloaded(SIZE - 1000, 1000, 0)


def test_an_earlier_partial_is_continued(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, MODEL_BYTES[:123_456])
    assert fetch(remote, partial) == Downloaded(SIZE - 123_456, 123_456, 0)
    assert partial.read_bytes() == MODEL_BYTES
    assert hub.body_bytes_sent() == SIZE - 123_456


def test_a_whole_partial_is_only_hashed(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, MODEL_BYTES)
    assert fetch(remote, partial) == Downloaded(0, SIZE, 0)
    assert not hub.requests


@pytest.mark.parametrize("changed", [{"etag": "0" * 64}, {"size_bytes": SIZE + 1}])
def test_a_partial_of_another_content_is_never_continued(
    hub: Hub, remote: RemoteFile, partial: Path, changed: dict[str, object]
) -> None:
    leave(remote, partial, MODEL_BYTES[:1000], **changed)
    assert fetch(remote, partial) == Downloaded(SIZE, 0, 0)


@pytest.mark.parametrize("companion", [None, "", "[]", "{", "null"])
def test_a_partial_that_nobody_can_place_is_never_continued(
    hub: Hub, remote: RemoteFile, partial: Path, companion: str | None
) -> None:
    leave(remote, partial, MODEL_BYTES[:1000])
    companion_of(partial).unlink() if companion is None else companion_of(partial).write_text(companion)
    assert fetch(remote, partial) == Downloaded(SIZE, 0, 0)


def test_a_partial_that_is_too_long_starts_anew(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, MODEL_BYTES + b"x")
    assert fetch(remote, partial) == Downloaded(SIZE, 0, 0)


def test_a_partial_with_wrong_bytes_is_found_out_and_fetched_anew(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, bytes(1000))
    assert fetch(remote, partial) == Downloaded(SIZE - 1000 + SIZE, 0, 1)
    assert partial.read_bytes() == MODEL_BYTES


def test_a_server_without_ranges_starts_anew_in_place(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.ignore_ranges = True
    hub.faults.cut_after = [SIZE // 2]
    assert fetch(remote, partial) == Downloaded(SIZE // 2 + SIZE, 0, 1)
    assert partial.read_bytes() == MODEL_BYTES


def test_a_server_without_ranges_that_always_cuts_at_the_same_place_ends(
    hub: Hub, remote: RemoteFile, partial: Path
) -> None:
    hub.faults.ignore_ranges = True
    hub.faults.cut_after = [SIZE // 2] * 50
    failure_of(remote, partial)
    assert hub.body_bytes_sent() == (SIZE // 2) * (QUICK.tries + 1)


def test_a_server_that_gives_another_part_is_asked_for_the_whole(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, MODEL_BYTES[:1000])
    hub.faults.shift_ranges = 7
    assert fetch(remote, partial).restarted == 1
    assert partial.read_bytes() == MODEL_BYTES


def test_one_wrong_byte_is_found_and_the_file_fetched_once_more(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.flip = [SIZE // 3]
    assert fetch(remote, partial) == Downloaded(2 * SIZE, 0, 1)
    assert partial.read_bytes() == MODEL_BYTES


def test_wrong_bytes_twice_are_an_error_and_nothing_is_left(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.flip = [0, SIZE - 1]
    assert "do not have the hash" in failure_of(remote, partial).message
    assert not list(partial.parent.iterdir())
    assert hub.body_bytes_sent() == 2 * SIZE


@pytest.mark.parametrize("extra", [-1, 1, 10**15])
def test_a_size_that_is_a_lie_is_told_before_a_byte_is_written(hub: Hub, partial: Path, extra: int) -> None:
    hub.faults.told_extra_bytes = extra
    remote = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, MODEL))
    hub.requests.clear()
    error = failure_of(remote, partial)
    assert f"named {SIZE + extra} bytes" in error.message and str(SIZE) in error.message
    assert partial.stat().st_size == 0


def test_a_size_lie_in_ranges_is_told_too(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, MODEL_BYTES[:1000])
    hub.faults.told_extra_bytes = 5
    assert "its storage has" in failure_of(remote, partial).message
    assert partial.read_bytes() == MODEL_BYTES[:1000]


def test_a_change_upstream_between_two_calls_never_mixes_bytes(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.cut_after = [SIZE // 2, *[0] * 50]
    failure_of(remote, partial)
    hub.faults.cut_after = []
    newer = content(SIZE, "newer")
    hub.replace(KEY, newer)
    changed = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, MODEL))
    assert fetch(changed, partial) == Downloaded(SIZE, 0, 0)
    assert partial.read_bytes() == newer


def test_a_mirror_that_forgets_history_is_noticed_at_the_next_request(
    hub: Hub, remote: RemoteFile, partial: Path
) -> None:
    leave(remote, partial, MODEL_BYTES[:1000])
    hub.faults.forget_history = True
    hub.replace(KEY, content(SIZE, "newer"))
    error = failure_of(remote, partial)
    assert "changed on the Hub" in error.message and "starts anew" in error.hint
    assert partial.read_bytes() == MODEL_BYTES[:1000]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_burst_of_refusals_is_waited_out(hub: Hub, remote: RemoteFile, partial: Path, status: int) -> None:
    hub.faults.refusals = [Refusal(status, "resolve", {"Retry-After": "0"}), Refusal(status, "cdn")]
    seen: list[Progress] = []
    assert download(remote, partial, seen.append, QUICK).fetched_bytes == SIZE
    waits = [progress.note for progress in seen if progress.stage == "waiting"]
    assert len(waits) == 2 and f"status {status}" in waits[0]


def test_refusals_without_end_are_an_error(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.refusals = [Refusal(429, "resolve")] * 50
    assert "slow down" in failure_of(remote, partial).message
    assert len(hub.requests) == QUICK.tries


def test_a_signature_that_ran_out_is_renewed(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.refusals = [Refusal(403, "cdn")]
    assert fetch(remote, partial).fetched_bytes == SIZE
    signatures = [request.path for request in hub.requests if request.where == "cdn"]
    assert len(set(signatures)) == 2


@pytest.mark.parametrize(("status", "code"), [(401, "GatedRepo"), (404, "EntryNotFound"), (403, "")])
def test_a_refusal_for_good_is_not_repeated(
    hub: Hub, remote: RemoteFile, partial: Path, status: int, code: str
) -> None:
    hub.faults.refusals = [Refusal(status, "resolve", {"X-Error-Code": code})]
    failure_of(remote, partial)
    assert len(hub.requests) == 1


def test_the_token_goes_to_the_endpoint_alone(
    hub: Hub, remote: RemoteFile, partial: Path, monkeypatch: pytest.MonkeyPatch, _own_home: Path
) -> None:
    (_own_home / ".netrc").write_text("default login someone password secret\n")
    monkeypatch.setenv("NETRC", str(_own_home / ".netrc"))
    fetch(remote, partial)
    assert not any(request.had_token for request in hub.requests)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.repositories[REPOSITORY].gated = True
    hub.requests.clear()
    partial.unlink()
    fetch(remote, partial)
    assert {(request.where, request.had_token) for request in hub.requests} == {("resolve", True), ("cdn", False)}


@pytest.mark.parametrize("target", ["http://[", "file:///etc/passwd", "http://127.0.0.1:99999/", "/same"])
def test_a_redirect_to_nowhere_is_an_error_of_the_hub(hub: Hub, remote: RemoteFile, partial: Path, target: str) -> None:
    hub.faults.refusals = [Refusal(302, "resolve", {"Location": target})] * 50
    assert isinstance(failure_of(remote, partial), HubError)
    assert partial.read_bytes() == b""


def test_packed_bytes_are_refused(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.refusals = [Refusal(200, "cdn", {"Content-Encoding": "gzip"})]
    assert "packs" in failure_of(remote, partial).message


def test_progress_begins_at_what_is_there_and_ends_at_the_total(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    leave(remote, partial, MODEL_BYTES[:100_000])
    seen: list[Progress] = []
    download(remote, partial, seen.append, QUICK)
    assert seen[0] == Progress(0, 100_000, stage="hashing")
    fetching = [progress for progress in seen if progress.stage == "fetching"]
    assert (fetching[0].done_bytes, fetching[-1].done_bytes) == (100_000, SIZE)
    assert fetching[-1].total_bytes == SIZE and fetching[-1].bytes_per_s > 0 and fetching[-1].seconds_left == 0
    done = [progress.done_bytes for progress in fetching]
    assert done == sorted(done)


def test_an_interrupt_keeps_what_came(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.stage == "fetching" and progress.done_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(remote, partial, interrupt, QUICK)
    kept = partial.stat().st_size
    assert kept > 0 and partial.read_bytes() == MODEL_BYTES[:kept]
    assert fetch(remote, partial) == Downloaded(SIZE - kept, kept, 0)


DOWNLOAD_IN_CHILD = """
import sys
from pathlib import Path
from coalm_lite.hub.client import HubClient
from coalm_lite.hub.download import download
from coalm_lite.hub.places import parse_place
download(HubClient().find(parse_place(sys.argv[1])), Path(sys.argv[2]), lambda progress: None)
"""


def test_a_killed_process_loses_no_byte_that_came(hub: Hub, remote: RemoteFile, partial: Path) -> None:
    hub.faults.stall_after = [SIZE // 2]
    command = [sys.executable, "-c", DOWNLOAD_IN_CHILD, f"hf:{KEY}", str(partial)]
    with subprocess.Popen(command, cwd=ROOT) as child:
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size == SIZE // 2) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.kill()
    assert partial.read_bytes() == MODEL_BYTES[: SIZE // 2]
    assert fetch(remote, partial) == Downloaded(SIZE - SIZE // 2, SIZE // 2, 0)


def test_a_full_disk_names_both_figures_and_keeps_what_fits(hub: Hub, remote: RemoteFile, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    tmpfs = [mount or "", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if mount is None or subprocess.run(tmpfs, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        error = failure_of(remote, disk / "model.partial")
        kept = (disk / "model.partial").stat().st_size
        assert isinstance(error, StoreError)
        assert f"{SIZE - kept} more bytes needed" in error.message and "free" in error.message
        assert (disk / "model.partial").read_bytes() == MODEL_BYTES[:kept]
        subprocess.run([mount, "-o", "remount,size=1m", str(disk)], check=True)
        assert fetch(remote, disk / "model.partial") == Downloaded(SIZE - kept, kept, 0)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_that_cannot_be_written_is_named(hub: Hub, remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file where the folder should be")
    error = failure_of(remote, tmp_path / "own" / "model.partial")
    assert isinstance(error, StoreError) and "own" in error.message


def test_a_large_file_passes_in_blocks(hub: Hub, tmp_path: Path) -> None:
    source = tmp_path / "large"
    digest = hashlib.sha256()
    with source.open("wb") as file:
        for at in range(24):
            block = content(1 << 20, str(at))
            digest.update(block)
            file.write(block)
    hub.replace(f"{REPOSITORY}/large.gguf", source)
    remote = HubClient(waits=QUICK).find(HubPlace(REPOSITORY, "large.gguf"))
    hub.faults.cut_after = [10_000_001]
    assert fetch(remote, tmp_path / "p") == Downloaded(24 << 20, 0, 0)
    assert remote.sha256 == digest.hexdigest() == hashlib.sha256((tmp_path / "p").read_bytes()).hexdigest()
