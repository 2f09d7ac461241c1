from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coalm_lite.catalog import shipped_catalog
from coalm_lite.errors import HubError, ModelError
from coalm_lite.hub.client import HubClient
from coalm_lite.pull.licenses import accept
from coalm_lite.pull.machine import Machine
from coalm_lite.pull.memory import memory_need, shape_of_size
from coalm_lite.pull.plan import PullPlan, PullRefusedError, plan_pull
from coalm_lite.store.cache import HubCache
from tests.hub.hub_server import Hub
from tests.pull.conftest import KEY, OTHER_KEY, OTHER_PLACE, REPOSITORY
from tests.runtime.gguf_bytes import model_file

Planned = Callable[[str], PullPlan]


def test_a_plan_says_what_and_how_much_and_writes_nothing(
    planned: Planned, hub: Hub, tiny_model: Path, cache: HubCache
) -> None:
    plan = planned("8b-q4")
    size = shipped_catalog().sizes["8b"]
    assert (plan.description.name, plan.description.quant) == ("8b-q4", "Q4_K_M")
    assert (plan.remote.etag, plan.remote.revision) == (hub.hash_of(KEY), hub.commit_of(REPOSITORY))
    assert plan.missing_bytes == plan.remote.size_bytes == tiny_model.stat().st_size
    assert plan.memory == memory_need(shape_of_size(size), plan.remote.size_bytes, 4096)
    assert (plan.license, plan.needs_consent, plan.kept) == (size.license, True, False)
    assert plan.obstacles() == ()
    assert hub.body_bytes_sent() == 0
    assert not cache.root.exists()


def test_a_file_outside_the_catalog_is_measured_by_its_first_bytes(planned: Planned, hub: Hub) -> None:
    plan = planned(OTHER_PLACE)
    assert plan.memory is not None
    assert plan.memory.kv_bytes == 2 * 2 * 64 * 2 * 2 * 2048  # 2 layers, 2 KV heads of width 64, f16, twice, 2048 cells
    assert plan.context_tokens == 2048
    assert (plan.license, plan.needs_consent) == ("cc-by-nc-4.0", True)
    assert hub.body_bytes_sent() <= 256 << 10


def test_an_accepted_licence_needs_no_consent_again(planned: Planned) -> None:
    accept(planned("8b-q4").license)
    assert not planned("8b-q4").needs_consent
    assert planned(OTHER_PLACE).needs_consent


def test_the_context_decides_the_memory(hub: Hub, client: HubClient, cache: HubCache) -> None:
    needs = [plan_pull("8b-q4", client, cache, tokens).memory for tokens in (1024, 2048)]
    assert needs[0] is not None
    assert needs[1] is not None
    assert needs[1].kv_bytes == 2 * needs[0].kv_bytes == 2048 * 128 << 10  # 128 KiB a token


def test_an_unfinished_pull_counts(planned: Planned, cache: HubCache) -> None:
    plan = planned("8b-q4")
    cache.make_folders(REPOSITORY)
    cache.partial(REPOSITORY, plan.remote.etag).write_bytes(bytes(1000))
    again = planned("8b-q4")
    assert (again.partial_bytes, again.missing_bytes) == (1000, plan.remote.size_bytes - 1000)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"free_disk_bytes": 1000}, "the disk has 0.00 MB free, and 5.36 MB are needed"),
        (
            {"machine": Machine(1_000_000_000, 1_000_000_000)},
            "it needs 1.14 GB of memory with a context of 4096 tokens",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_numbers(planned: Planned, changes: dict[str, object], words: str) -> None:
    plan = replace(planned("8b-q4"), **changes)  # type: ignore[arg-type]  # each of its field's own type
    with pytest.raises(PullRefusedError, match=words) as caught:
        plan.check()
    assert "--force" in caught.value.hint


def test_memory_that_is_only_taken_by_others_is_no_obstacle(planned: Planned) -> None:
    assert replace(planned("8b-q4"), machine=Machine(1 << 35, 1000)).obstacles() == ()


def test_a_file_of_another_kind_is_refused_before_it_is_fetched(planned: Planned, hub: Hub) -> None:
    hub.replace(OTHER_KEY, b"PK\x03\x04" + bytes(1_000_000))
    with pytest.raises(ModelError, match="GGUF"):
        planned(OTHER_PLACE)


def test_a_model_of_another_family_is_refused_before_it_is_fetched(planned: Planned, hub: Hub) -> None:
    hub.replace(OTHER_KEY, model_file({"general.architecture": "whale"}))
    with pytest.raises(ModelError, match="architecture 'whale'"):
        planned(OTHER_PLACE)


def test_a_tokenizer_that_is_not_supported_is_refused_before_the_file_is_fetched(planned: Planned, hub: Hub) -> None:
    hub.replace(OTHER_KEY, model_file({"tokenizer.ggml.model": "bert", "tokenizer.ggml.pre": "default"}))
    with pytest.raises(ModelError, match="tokenizer of the kind 'bert'"):
        planned(OTHER_PLACE)


def test_a_header_that_tells_no_shape_leaves_the_memory_unknown(planned: Planned, hub: Hub) -> None:
    hub.replace(OTHER_KEY, model_file({"llama.context_length": 64, "llama.embedding_length": None}))
    plan = planned(OTHER_PLACE)
    assert (plan.memory, plan.context_tokens, plan.obstacles()) == (None, 64, ())


def test_offline_nothing_is_asked(hub: Hub, cache: HubCache) -> None:
    with pytest.raises(HubError, match="--offline"):
        plan_pull("8b-q4", HubClient(offline=True), cache)
    assert hub.requests == []
