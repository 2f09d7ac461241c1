"""Fixtures of the converter tests: a fresh tiny checkpoint, whole or damaged in one place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.converters.tiny_checkpoint import Recipe, write_checkpoint, write_json

EditJson = Callable[[Path, Callable[[Any], None]], None]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A sound BF16 checkpoint in one file."""
    return write_checkpoint(tmp_path / "tiny", Recipe())


@pytest.fixture
def edit_json() -> EditJson:
    """Rewrites a JSON file after a change to its contents."""

    def edit(path: Path, change: Callable[[Any], None]) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        write_json(path, data)

    return edit
