"""A hub with one loadable model, a cache of its own, and a plan for the one into the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coalm_lite.hub.backoff import Waits
from coalm_lite.hub.client import HubClient
from coalm_lite.pull.plan import PullPlan, plan_pull
from coalm_lite.store.cache import HubCache
from tests.gguf_models import tiny_model
from tests.hub.hub_server import Hub, hub_server

__all__ = ["tiny_model"]

REPOSITORY = "mradermacher/CoALM-8B-GGUF"
FILE = "CoALM-8B.Q4_K_M.gguf"
KEY = f"{REPOSITORY}/{FILE}"
OTHER_KEY = "someone/Other-GGUF/sub/other.Q8_0.gguf"
OTHER_PLACE = f"hf:{OTHER_KEY}"
QUICK = Waits(tries=3, first_s=0.01, longest_s=0.02)


@pytest.fixture
def hub(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hub_server({KEY: tiny_model, OTHER_KEY: tiny_model}, {"someone/Other-GGUF": "cc-by-nc-4.0"}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def client() -> HubClient:
    return HubClient(waits=QUICK)


@pytest.fixture
def cache() -> HubCache:
    """The cache that the command line uses too."""
    return HubCache.of_user()


@pytest.fixture
def planned(hub: Hub, client: HubClient, cache: HubCache) -> Callable[[str], PullPlan]:
    """Plans a pull of a name as the hub is now."""
    return lambda text: plan_pull(text, client, cache)
