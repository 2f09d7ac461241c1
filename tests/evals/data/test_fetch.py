"""Fetching over a real loopback server: whole or not there, resumed, hashes checked, mirrors, errors that help."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.errors import CoalmError, HubError, StoreError, UsageError
from coalm_lite.evals.data.download import MIRROR_VARIABLE, Origin
from coalm_lite.evals.data.fetch import RECORD, Fetched, fetch, fetched_state
from coalm_lite.evals.data.pins import PinnedSuite
from coalm_lite.hub.backoff import Waits
from coalm_lite.hub.progress import Progress
from coalm_lite.store.locks import held
from tests.evals.data.data_server import DataServer, data_server
from tests.evals.data.made_suites import FILES, apibank, multiwoz, wheel

ROOT = Path(__file__).parents[3]
AT_ONCE = Waits(tries=4, first_s=0.001, longest_s=0.002)
SUITE = apibank()


def served(files: dict[str, bytes] | None = None, folder: str = "apibank") -> dict[str, bytes]:
    return {f"{folder}/{path}": content for path, content in (files or FILES).items()}


def brought(home: Path, server: DataServer, suite: PinnedSuite = SUITE) -> Fetched:
    return fetch(suite, home, Origin(server.address), waits=AT_ONCE)


def leftovers(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


def test_files_come_whole_with_a_record_and_nothing_else(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with data_server(served()) as server:
        done = fetch(SUITE, tmp_path, Origin(server.address), seen.append, AT_ONCE)
    total = sum(map(len, FILES.values()))
    assert (done.files, done.size_bytes, done.new) == (2, total, True)
    assert {path: (tmp_path / "apibank" / path).read_bytes() for path in FILES} == FILES
    record = json.loads((tmp_path / "apibank" / RECORD).read_text())
    assert set(record["files"]) == set(FILES) and record["licence"] == "CC0"
    assert leftovers(tmp_path) == ["apibank"]
    assert (seen[-1].done_bytes, seen[-1].total_bytes) == (total, total)


def test_what_is_there_and_right_is_not_fetched_again(tmp_path: Path) -> None:
    with data_server(served()) as server:
        brought(tmp_path, server)
        asked = len(server.requests)
        again = brought(tmp_path, server)
        assert (again.new, len(server.requests)) == (False, asked)
        (tmp_path / "apibank" / "one.json").write_bytes(b"damaged")
        assert fetched_state(SUITE, tmp_path) is not None and fetched_state(SUITE, tmp_path, check=True) is None
        assert brought(tmp_path, server).new
        assert [path for path, _ in server.requests[asked:]] == ["/apibank/one.json"]


def test_public_addresses_are_asked_where_nothing_else_is_named(tmp_path: Path) -> None:
    with data_server(FILES) as server:
        pins = tuple(replace(pin, url=f"{server.address}/{pin.path}") for pin in SUITE.pins)
        assert fetch(replace(SUITE, pins=pins), tmp_path, waits=AT_ONCE).new


def test_the_environment_names_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with data_server(served()) as server:
        monkeypatch.setenv(MIRROR_VARIABLE, f"{server.address}/")
        assert fetch(SUITE, tmp_path, waits=AT_ONCE).new


def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with data_server(served()) as server:
        server.cuts = [1000, 7000]
        assert brought(tmp_path, server).new
        assert [asked for _, asked in server.requests[:3]] == ["", "bytes=1000-", "bytes=8000-"]


def test_a_later_call_goes_on_from_the_bytes_that_came(tmp_path: Path) -> None:
    with data_server(served()) as server:
        server.cuts = [1000, 0, 0, 0, 0]
        with pytest.raises(HubError, match=r"broke off|ended too early"):
            brought(tmp_path, server)
        assert not (tmp_path / "apibank").exists()
        server.cuts.clear()
        assert brought(tmp_path, server).new
        assert server.requests[-2][1] == "bytes=1000-"


def test_a_killed_call_leaves_no_folder_and_its_bytes_are_gone_on_with(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.evals.data.made_suites import apibank;"
        "from coalm_lite.evals.data.fetch import fetch; from coalm_lite.evals.data.download import Origin;"
        "fetch(apibank(), Path(sys.argv[1]), Origin(sys.argv[2]))"
    )
    with data_server(served()) as server:
        server.stalls = [20_000]
        killed = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), server.address], cwd=ROOT)
        partial = tmp_path / ".fetching" / "bytes" / SUITE.pins[0].etag
        end_s = time.monotonic() + 30
        while time.monotonic() < end_s and not (partial.exists() and partial.stat().st_size):
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        server.released.set()
        came = partial.stat().st_size
        assert came and not (tmp_path / "apibank").exists()
        assert brought(tmp_path, server).new
        assert server.requests[1][1] == f"bytes={came}-"
    assert (tmp_path / "apibank" / "one.json").read_bytes() == FILES["one.json"]


def test_a_server_without_ranges_starts_anew(tmp_path: Path) -> None:
    with data_server(served()) as server:
        server.cuts, server.ranges = [1000], False
        assert brought(tmp_path, server).new


def test_bytes_of_an_earlier_call_that_are_wrong_are_thrown_away(tmp_path: Path) -> None:
    keep = tmp_path / ".fetching" / "bytes"
    keep.mkdir(parents=True)
    (keep / SUITE.pins[0].etag).write_bytes(b"x" * 500)
    with data_server(served()) as server:
        assert brought(tmp_path, server).new


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(tmp_path: Path) -> None:
    with data_server(served()) as server:
        server.statuses = [503, 429]
        assert brought(tmp_path, server).new
        server.statuses = [403]
        with pytest.raises(HubError, match="status 403") as refused:
            brought(tmp_path / "other", server)
        assert "--from" in refused.value.hint


@pytest.mark.parametrize("content", [b"[2]" * 10, FILES["one.json"] + b" ", FILES["one.json"][:-1] + b"!", b""])
def test_other_bytes_are_refused_and_leave_nothing(tmp_path: Path, content: bytes) -> None:
    with data_server(served({**FILES, "one.json": content})) as server:
        with pytest.raises(HubError) as refused:
            brought(tmp_path, server)
        assert not (tmp_path / "apibank").exists()
        if len(content) == len(FILES["one.json"]):  # only a whole file has a hash to tell
            assert SUITE.pins[0].etag in refused.value.message and "it has sha256" in refused.value.message
        server.files |= served()
        assert brought(tmp_path, server).new


def test_without_an_answer_the_address_and_the_way_out_are_told(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"no answer from http://127\.0\.0\.1:9/public/one\.json") as failed:
        fetch(SUITE, tmp_path, waits=AT_ONCE)
    assert "--from" in failed.value.hint


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_serves_too_plain_or_gzipped(tmp_path: Path, ending: str) -> None:
    for path, content in served().items():
        place = tmp_path / "copy" / f"{path}{ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(content) if ending else content)
    home = tmp_path / "home"
    assert fetch(SUITE, home, Origin(str(tmp_path / "copy"))).new
    assert (home / "apibank" / "one.json").read_bytes() == FILES["one.json"]


def test_a_folder_without_the_file_or_with_a_damaged_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no .*one\.json, plain or \.gz"):
        fetch(SUITE, tmp_path / "home", Origin(str(tmp_path)))
    (tmp_path / "apibank").mkdir()
    (tmp_path / "apibank" / "one.json.gz").write_bytes(gzip.compress(FILES["one.json"])[:-20])
    with pytest.raises(StoreError, match="cannot be unzipped"):
        fetch(SUITE, tmp_path / "home", Origin(str(tmp_path)))


def test_a_mirror_of_another_scheme_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'ftp://here' is no mirror"):
        Origin("ftp://here")


def test_a_folder_of_anothers_making_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "apibank").mkdir()
    (tmp_path / "apibank" / "mine.json").write_text("1")
    with data_server(served()) as server, pytest.raises(StoreError, match="was not made by data fetch"):
        brought(tmp_path, server)
    assert (tmp_path / "apibank" / "mine.json").read_text() == "1"


def test_other_pins_replace_the_folder_as_a_whole(tmp_path: Path) -> None:
    with data_server(served({**FILES, "three.json": b"3"})) as server:
        brought(tmp_path, server)
        newer = apibank({"below/two.json": FILES["below/two.json"], "three.json": b"3"})
        assert brought(tmp_path, server, newer).new
        assert server.requests[-1][0] == "/apibank/three.json", "what stayed the same is not fetched again"
    assert not (tmp_path / "apibank" / "one.json").exists()


def test_a_second_call_at_once_is_refused(tmp_path: Path) -> None:
    with held(tmp_path / ".fetching-apibank.lock") as free, pytest.raises(StoreError, match="another coalm-lite"):
        assert free
        fetch(SUITE, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with data_server(served()) as server, pytest.raises(CoalmError, match="Permission denied"):
        brought(tmp_path / "home", server)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no full device")
    keep = tmp_path / ".fetching" / "bytes"
    keep.mkdir(parents=True)
    (keep / SUITE.pins[0].etag).symlink_to(full)
    with data_server(served()) as server, pytest.raises(StoreError, match="no room left"):
        brought(tmp_path, server)
    assert not (tmp_path / "apibank").exists()


def test_a_wheel_is_unpacked_and_not_kept(tmp_path: Path) -> None:
    suite, content = wheel({"bfcl_eval/__init__.py": "raise SystemExit", "bfcl_eval/data/x.json": "{}"})
    with data_server({"bfcl-executors/made.whl": content}) as server:
        done = brought(tmp_path, server, suite)
        again = brought(tmp_path, server, suite)
    assert (done.files, again.new) == (2, False)
    assert (tmp_path / "bfcl-executors" / "bfcl_eval" / "data" / "x.json").read_text() == "{}"
    assert not list(tmp_path.rglob("*.whl"))


def test_multiwoz_becomes_turns_beside_its_databases(tmp_path: Path) -> None:
    suite, content = multiwoz()
    with data_server({"multiwoz24/made.zip": content, "multiwoz24/db/taxi_db.json": b"[]"}) as server:
        server.cuts = [50]
        brought(tmp_path, server, suite)
        assert not brought(tmp_path, server, suite).new
    folder = tmp_path / "multiwoz24"
    assert sorted(path.name for path in folder.iterdir()) == ["db", RECORD, "ontology.json", "test.jsonl"]
    (line,) = (folder / "test.jsonl").read_text().splitlines()
    assert json.loads(line)["dialogue_id"] == "A1.json"


def test_a_whole_archive_of_unknown_size_is_not_asked_for_more(tmp_path: Path) -> None:
    suite, content = multiwoz()
    keep = tmp_path / ".fetching" / "bytes"
    keep.mkdir(parents=True)
    (keep / suite.pins[0].etag).write_bytes(content)
    with data_server({"multiwoz24/made.zip": content, "multiwoz24/db/taxi_db.json": b"[]"}) as server:
        assert brought(tmp_path, server, suite).new
