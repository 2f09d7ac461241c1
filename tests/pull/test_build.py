"""A build is recorded when it is whole and works, is done once, and what speaks against it is said before."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.catalog import catalog
from coalm_lite.cli.pull_build import ConverterBuilder
from coalm_lite.cli.pull_progress import PullScreen
from coalm_lite.errors import ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.pull.build import BuildPlan, build, made_bytes, plan_build
from coalm_lite.pull.fetch import Pulled
from coalm_lite.pull.machine import Machine
from coalm_lite.pull.plan import PullRefusedError
from coalm_lite.pull.wanted import NotPublishedError
from coalm_lite.store.cache import HubCache
from coalm_lite.store.local import local_models
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.hub.hub_server import Hub, hub_server
from tests.pull.conftest import QUICK
from tests.pull.tiny_size import FILE, REPOSITORY, add_tiny_size


class WatchedBuilder(ConverterBuilder):
    """The converter; `made` counts its runs. `ends` is raised once after a file is whole, `problems` are told of it."""

    def __init__(self, ends: BaseException | None = None, problems: Sequence[str] = ()) -> None:
        super().__init__(PullScreen(-1))
        self.made = 0
        self.begun = threading.Event()
        self._ends = ends
        self._problems = problems

    def make(self, place: str, quant: str, target: Path, client: HubClient) -> Sequence[str]:
        self.begun.set()
        self.made += 1
        found = super().make(place, quant, target, client)
        if self._ends is not None:
            self._ends, ends = None, self._ends
            raise ends
        return [*found, *self._problems]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = write_checkpoint(tmp_path / "CoALM-tiny", Recipe(shards=2))
    add_tiny_size()
    with hub_server({f"{REPOSITORY}/{path.name}": path for path in folder.iterdir()}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def store() -> HubCache:
    return HubCache.of_built()


def planned(builder: ConverterBuilder, store: HubCache, name: str = "tiny", quant: str = "q8") -> BuildPlan:
    return plan_build(NotPublishedError(catalog().sizes[name], quant), builder, store)


def built(builder: ConverterBuilder, store: HubCache, said: list[str] | None = None) -> Pulled:
    tell = said.append if said is not None else lambda _: None
    return build(planned(builder, store), builder, HubClient(waits=QUICK), store, lambda _: None, tell)


def test_a_result_that_does_not_work_is_deleted(hub: Hub, store: HubCache) -> None:
    with pytest.raises(ModelError, match=r"tiny-q8 was built and deleted again: it made no call"):
        built(WatchedBuilder(problems=["it made no call"]), store)
    assert local_models(store) == ()
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_a_file_that_was_whole_when_the_build_ended_is_not_made_again(hub: Hub, store: HubCache) -> None:
    builder = WatchedBuilder(ends=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        built(builder, store)
    assert local_models(store) == ()
    assert made_bytes(planned(builder, store), store) == (store.own(REPOSITORY) / FILE).stat().st_size
    pulled = built(builder, store)
    assert builder.made == 1
    assert [model.manifest for model in local_models(store)] == [pulled.manifest]


def test_a_whole_file_of_an_older_commit_is_made_again(hub: Hub, store: HubCache) -> None:
    builder = WatchedBuilder(ends=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        built(builder, store)
    hub.replace(f"{REPOSITORY}/README.md", b"new")
    assert built(builder, store).manifest.revision == hub.commit_of(REPOSITORY)
    assert builder.made == 2


def test_a_file_that_is_none_is_made_again(hub: Hub, store: HubCache) -> None:
    store.make_folders(REPOSITORY)
    (store.own(REPOSITORY) / FILE).write_bytes(b"no model")
    assert built(WatchedBuilder(), store).path.is_file()


def test_of_two_builds_at_once_one_does_the_work(hub: Hub, store: HubCache) -> None:
    hub.faults.bytes_per_s = 400_000
    first, second = WatchedBuilder(), WatchedBuilder()
    results: list[Pulled] = []
    thread = threading.Thread(target=lambda: results.append(built(first, store)))
    thread.start()
    assert first.begun.wait(60)
    said: list[str] = []
    results.append(built(second, store, said))
    thread.join(60)
    assert (first.made, second.made) == (1, 0)
    assert results[0].manifest == results[1].manifest
    assert any("waiting for it" in text for text in said)


def test_the_plan_of_70b_q4_has_the_known_numbers(store: HubCache) -> None:
    plan = planned(ConverterBuilder(PullScreen(-1)), store, "70b", "q4")
    assert (plan.name, plan.needs.kind, plan.file_name) == ("70b-q4", "Q4_K_M", "CoALM-70B.Q4_K_M.gguf")
    assert plan.needs.download_bytes == 2 * 70_553_706_496
    assert plan.needs.file_bytes == pytest.approx(42.5e9, rel=0.003)  # Llama 3 70B in Q4_K_M, as others publish it
    assert plan.needs.memory_bytes < 1e9 < plan.needs.file_bytes < plan.use_bytes < 1.1 * plan.needs.file_bytes
    assert plan.download_s == pytest.approx(141e9 * 8 / 100e6, rel=0.01)
    assert plan.needs_consent


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"free_disk_bytes": 10**9}, r"the disk has 1\.00 GB free, and 42\.5\d GB are needed"),
        ({"machine": Machine(10**8, 10**8)}, r"building needs 0\.\d+ GB of memory, this machine has 0\.10 GB"),
        ({"machine": Machine(10**10, 10**10)}, r"using it needs 44\.\d+ GB of memory, and this machine has 10\.00 GB"),
    ],
)
def test_what_does_not_fit_is_refused_with_numbers(store: HubCache, changes: dict[str, object], words: str) -> None:
    roomy = {"free_disk_bytes": 10**12, "machine": Machine(10**12, 10**12)}
    plan = planned(ConverterBuilder(PullScreen(-1)), store, "70b", "q4")
    replace(plan, **roomy).check()  # type: ignore[arg-type]  # each of its field's own type
    with pytest.raises(PullRefusedError, match=words) as caught:
        replace(plan, **roomy | changes).check()  # type: ignore[arg-type]
    assert "--force" in caught.value.hint
