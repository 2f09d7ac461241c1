"""A guide on a database of its own for each test, called by the names that a model uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coalm_lite import demo


@pytest.fixture(autouse=True)
def _no_real_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COALM_LITE_HOME", str(tmp_path / "home"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "new" / "town.sqlite3"


@pytest.fixture
def call(database: Path) -> Callable[..., Any]:
    functions = {function.__name__: function for function in demo.tools(database)}

    def by_name(tool: str, **arguments: object) -> dict[str, Any]:
        return functions[tool](**arguments)

    return by_name
