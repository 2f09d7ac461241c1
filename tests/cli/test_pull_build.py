"""`coalm-lite pull` of a quant that nobody has published: it is built from the checkpoint on a real hub, and kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from coalm_lite.converters.gguf import Quant, convert
from coalm_lite.hub.backoff import Waits
from coalm_lite.runtime.gguf_header import read_header
from coalm_lite.store.cache import HubCache
from coalm_lite.store.default import read_default
from coalm_lite.store.local import local_models
from coalm_lite.store.provenance import read_provenance
from tests.cli.conftest import CommandLine
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.hub.hub_server import Hub, hub_server
from tests.pull.tiny_size import FILE, REPOSITORY, add_tiny_size

TENSORS = 21  # of the checkpoint, each of them one request
BUILD = ("pull", "tiny-q8", "--build", "--accept-license")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "CoALM-tiny", Recipe(shards=3))


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    add_tiny_size()
    with hub_server({f"{REPOSITORY}/{path.name}": path for path in folder.iterdir()}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def tensors_of(path: Path) -> bytes:
    """All that stands behind the head."""
    return path.read_bytes()[read_header(path).data_offset :]


def test_without_consent_it_is_said_what_building_takes(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", "tiny-q8")
    assert outcome.code == 1
    for words in ("tiny-q8 (Q8_0) from someone/CoALM-tiny", "read as it comes and not stored", "on this machine"):
        assert words in outcome.out
    assert "nobody has published tiny-q8, but it can be built" in outcome.err
    assert "`coalm-lite pull tiny-q8 --build` does that." in outcome.err
    assert hub.requests == []
    assert not HubCache.of_built().root.exists()


def test_a_dry_run_says_the_same_as_data(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", "tiny-q8", "--dry-run", "--json")
    plan = json.loads(outcome.out)["build"]
    assert outcome.code == 0
    assert (plan["checkpoint"], plan["kind"], plan["obstacles"], plan["needs_consent"]) == (
        REPOSITORY,
        "Q8_0",
        [],
        True,
    )
    assert plan["compute_s"] > 0
    assert hub.requests == []


def test_the_licence_must_be_accepted_first(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", "tiny-q8", "--build")
    assert outcome.code == 2
    assert "CC-BY-NC-4.0, for tests" in outcome.err
    assert hub.requests == []


def test_what_was_built_is_the_converters_file_on_record_and_the_default(
    command_line: CommandLine, hub: Hub, folder: Path, tmp_path: Path
) -> None:
    outcome = command_line(*BUILD)
    assert outcome.code == 0, outcome.err
    assert "tiny-q8 is ready: built by coalm-lite" in outcome.out
    (model,) = local_models(HubCache.of_user())
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    assert tensors_of(model.path) == tensors_of(tmp_path / "local.gguf")
    assert model.path == HubCache.of_built().snapshot(REPOSITORY, hub.commit_of(REPOSITORY), FILE)
    manifest = model.manifest
    assert manifest.sha256 == sha256(model.path.read_bytes()).hexdigest()
    assert (manifest.name, manifest.size, manifest.quant, manifest.license) == (
        "tiny-q8",
        "tiny",
        "Q8_0",
        "CC-BY-NC-4.0, for tests",
    )
    assert read_default() == "tiny-q8"
    record = read_provenance(read_header(model.path))
    assert record is not None
    assert (record.source, record.revision) == (REPOSITORY, hub.commit_of(REPOSITORY))
    assert [path.name for path in HubCache.of_built().own(REPOSITORY).iterdir()] == [manifest_name(model.path)]
    assert not HubCache.of_user().root.exists(), "the shared cache is for what others have, too"


def manifest_name(path: Path) -> str:
    """The record of the only model."""
    (found,) = (file.name for file in HubCache.of_built().own(REPOSITORY).iterdir() if file.name.startswith(path.name))
    return found


def test_a_built_model_is_one_like_any_other(command_line: CommandLine, hub: Hub) -> None:
    command_line(*BUILD)
    listed = json.loads(command_line("list", "--json").out)
    assert [(model["name"], model["default"]) for model in listed] == [("tiny-q8", True), ("nano", False)]
    shown = command_line("show", "tiny-q8").out
    assert f"{REPOSITORY}@{hub.commit_of(REPOSITORY)}\n" in shown
    assert "Q8_0" in shown
    assert command_line("verify", "tiny-q8").out.startswith("tiny-q8: fine")
    assert command_line("use", "nano").code == 0
    assert command_line("use", "tiny-q8").code == 0
    assert command_line("prune").out == ""
    removed = command_line("rm", "tiny-q8")
    assert (removed.code, read_default()) == (0, None)
    assert local_models(HubCache.of_user()) == ()
    assert not list(HubCache.of_built().root.iterdir())


def test_a_model_that_was_built_needs_no_hub(command_line: CommandLine, hub: Hub) -> None:
    command_line(*BUILD)
    asked = len(hub.requests)
    command_line("use", "nano")
    again = command_line("pull", "tiny-q8", "--offline")
    assert (again.code, read_default()) == (0, "tiny-q8")
    assert len(hub.requests) == asked


def test_a_size_of_which_nothing_is_published_means_q4(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line("pull", "tiny", "--build", "--accept-license", "--json", "-q")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["name"] == "tiny-q4"
    assert outcome.err == ""


def test_offline_nothing_is_built(command_line: CommandLine, hub: Hub) -> None:
    outcome = command_line(*BUILD, "--offline")
    assert outcome.code == 1
    assert "--offline forbids to ask the Hub" in outcome.err
    assert hub.requests == []


def test_what_does_not_fit_is_refused_unless_forced(
    command_line: CommandLine, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coalm_lite.pull.build.free_disk_bytes", lambda _: 1000)
    refused = command_line(*BUILD)
    assert refused.code == 1
    assert "tiny-q8 does not fit: the disk has" in refused.err
    assert hub.requests == []
    assert command_line(*BUILD, "--force").code == 0


def test_a_checkpoint_that_is_damaged_leaves_nothing(command_line: CommandLine, hub: Hub, folder: Path) -> None:
    shard = "model-00002-of-00003.safetensors"
    hub.replace(f"{REPOSITORY}/{shard}", (folder / shard).read_bytes()[:-7])
    outcome = command_line(*BUILD)
    assert outcome.code == 1
    assert f"{REPOSITORY}/{shard}: model." in outcome.err
    assert local_models(HubCache.of_user()) == ()
    assert not [path for path in HubCache.of_built().root.rglob("*") if path.is_file()]


@pytest.fixture
def environment(hub: Hub) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": hub.endpoint, "NO_COLOR": "1"}


def started(environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "coalm_lite.cli", *BUILD]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_was_stopped_goes_on(
    hub: Hub, environment: dict[str, str], end: signal.Signals, folder: Path, tmp_path: Path
) -> None:
    hub.faults.bytes_per_s = 200_000
    first = started(environment)
    journal = HubCache.of_built().own(REPOSITORY) / f"{FILE}.partial.journal"
    give_up_s = time.monotonic() + 120
    while not journal.is_file() or journal.read_bytes().count(b"\n") < 5:
        assert first.poll() is None
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    first.send_signal(end)
    out, err = first.communicate(timeout=120)
    assert first.returncode == (130 if end is signal.SIGINT else -end), (out, err)
    if end is signal.SIGINT:
        assert "kept; run it again to go on" in err
    hub.faults.bytes_per_s = 0
    hub.requests.clear()
    again = started(environment)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    reads = [request for request in hub.requests if request.where == "cdn"]
    assert len(reads) <= 3 + TENSORS - 3, "three heads, and not the three tensors that were there"
    (model,) = local_models(HubCache.of_user())
    convert(folder, tmp_path / "local.gguf", Quant.Q8_0)
    assert tensors_of(model.path) == tensors_of(tmp_path / "local.gguf")


def test_a_build_that_the_network_ended_goes_on(
    command_line: CommandLine, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coalm_lite.hub.client.Waits", lambda: Waits(tries=3, first_s=0.01, longest_s=0.02))
    hub.faults.cut_after += [1 << 30] * 15 + [0] * 99  # the small files and some tensors come, then nothing any more
    assert command_line(*BUILD).code == 1
    journal = HubCache.of_built().own(REPOSITORY) / f"{FILE}.partial.journal"
    assert journal.is_file()
    hub.faults.cut_after.clear()
    assert command_line(*BUILD).code == 0
    assert not journal.exists()
