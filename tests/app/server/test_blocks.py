"""Tool blocks on disk: looked for once for each tool set while nothing is in work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from coalm_lite import models
from coalm_lite.app.server.asking import read_asked
from coalm_lite.app.server.blocks import Blocks
from coalm_lite.app.server.chat_request import ChatRequest, UserMessage
from coalm_lite.app.shared import SharedDesk
from coalm_lite.decoding.prefix import Outcome
from coalm_lite.dialects import cra
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.snapshots import SnapshotFolder
from tests.app.server.conftest import objects, running, tool

TOOLS = [tool("book", objects(name={"type": "string"}))]


class Watched(SharedDesk):
    """A desk that remembers what was to be made ready; `cancelled`: as if the client had gone meanwhile."""

    blocks: list[list[int]]
    cancelled = False

    def ready(self, block: Sequence[int], cancel: Cancel) -> Outcome:
        self.blocks.append([*block])
        if self.cancelled:
            raise Cancelled
        return super().ready(block, cancel)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    engine = LlamaEngine.load(models.shipped_model_path("coalm-nano.Q8_0.gguf"), threads=1)
    with Watched(engine, SnapshotFolder(tmp_path)) as desk:
        desk.blocks = []
        yield desk


def test_a_block_is_looked_for_once_for_each_tool_set_and_system_text(watched: Watched) -> None:
    system = {"role": "system", "content": "Be brief."}
    with running(watched) as server:
        for said in (("hello",), ("thanks",), (system, "hello"), (system, "thanks")):
            assert server.chat(*said, tools=TOOLS).status_code == 200
        assert len(watched.blocks) == 2
        assert server.chat("hello").status_code == 200
        assert len(watched.blocks) == 3
    with_tools, with_system_too, bare = map(len, watched.blocks)
    assert bare < with_tools < with_system_too


def test_one_that_is_cancelled_says_so(watched: Watched) -> None:
    request = ChatRequest(model="nano", messages=[UserMessage(role="user", content="hello")])
    asked = read_asked(request, watched, cra, 10)
    watched.cancelled = True
    assert not Blocks().ready(watched, asked, asked.tokens(watched), Cancel())
    watched.cancelled = False
    assert Blocks().ready(watched, asked, asked.tokens(watched), Cancel())
