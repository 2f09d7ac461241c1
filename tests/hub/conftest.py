"""A running hub with one repository, to which HF_ENDPOINT leads; short waits."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from coalm_lite.hub.backoff import Waits
from tests.hub.hub_server import Hub, hub_server

REPOSITORY = "someone/CoALM-test-GGUF"
MODEL = "CoALM-test.Q4_K_M.gguf"
KEY = f"{REPOSITORY}/{MODEL}"
QUICK = Waits(tries=4, first_s=0.01, longest_s=0.02)
LICENSE = "cc-by-nc-4.0"


def content(size_bytes: int, seed: str = "") -> bytes:
    """Bytes that do not repeat, the same every time."""
    return random.Random(seed).randbytes(size_bytes)


MODEL_BYTES = content(400_000)
FILES = {
    KEY: MODEL_BYTES,
    f"{REPOSITORY}/CoALM-test.Q4_K.gguf": content(1000, "other"),
    f"{REPOSITORY}/README.md": b"A model for tests.\n",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hub_server(FILES, {REPOSITORY: LICENSE}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
