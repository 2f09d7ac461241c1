"""The embedded model with several sequences, loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coalm_lite.evals.run import ModelStory, Run
from coalm_lite.evals.running.header import Part, run_header
from coalm_lite.evals.running.local import LocalBackend
from coalm_lite.evals.running.run_file import RunAppender, read_run
from coalm_lite.evals.running.runner import Runner, Speed, base_steps
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.store.names import resolve_model

STORY = ModelStory("nano", "gguf", "Q8_0")


@pytest.fixture(scope="session")
def nano() -> Iterator[LlamaEngine]:
    path = resolve_model("nano").path
    with LlamaEngine.load(path, context_tokens=1024, sequences=4, room_tokens=4096, threads=1) as engine:
        yield engine


@pytest.fixture
def run_into(nano: LlamaEngine) -> Callable[..., tuple[Run, Speed]]:
    """Runs a part into a file and reads it."""

    def run(part: Part, path: Path, base: Path | None = None, group_items: int = 5, **options: object):  # type: ignore[no-untyped-def]
        with LocalBackend(nano, STORY, **options) as backend:  # type: ignore[arg-type]
            header = run_header(backend, [part], base=base)
            with RunAppender(path, header) as file:
                steps = base_steps(read_run(base)) if base else None
                speed = Runner(backend, [part], file, base=steps, group_items=group_items).run()
        return read_run(path), speed

    return run
