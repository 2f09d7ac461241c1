"""The hooks as PyInstaller runs them: what they collect is what the packages need. Freezing for real takes minutes."""

from __future__ import annotations

import runpy
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from coalm_lite.freezing import contents, hook_dirs

pytest.importorskip("PyInstaller")
ROOT = Path(__file__).parents[2]


def hook(module: str) -> dict[str, Any]:
    """The hook's names after it ran."""
    return runpy.run_path(str(Path(hook_dirs()[0]) / f"hook-{module}.py"))


def test_every_data_file_of_the_package_is_collected() -> None:
    collected = {Path(source) for source, _ in hook("coalm_lite")["datas"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = project["tool"]["setuptools"]["package-data"]
    for package, patterns in data.items():
        if package == "coalm_lite.freezing.hooks":
            continue
        folder = Path(str(resources.files(package)))
        files = {path for pattern in patterns for path in folder.glob(pattern)}
        assert files, package
        assert files <= collected, package


def test_the_hooks_themselves_are_not_shipped() -> None:
    assert not [source for source, _ in hook("coalm_lite")["datas"] if "/freezing/" in source]


def test_versions_that_are_asked_for_are_there() -> None:
    folders = {Path(target).name.partition("-")[0] for _, target in hook("coalm_lite")["datas"]}
    assert {"coalm_lite", "llama_cpp_python"} <= folders


def test_what_is_imported_by_name_is_collected_where_it_is_used() -> None:
    assert hook("coalm_lite")["hiddenimports"] == contents.modules_by_name()
    assert hook("coalm_lite.cli")["hiddenimports"] == contents.commands_by_name()
    assert hook("coalm_lite.evals.suites")["hiddenimports"] == contents.suites_by_name()


@pytest.mark.parametrize(
    "module", ["coalm_lite", "llama_cpp", "huggingface_hub", "gguf", "fsspec.conftest", "pydantic.mypy"]
)
def test_no_framework_comes_along(module: str) -> None:
    assert {"torch", "pytest", "transformers", "tensorflow"} <= set(hook(module)["excludedimports"])


def test_the_libraries_go_where_they_are_looked_for() -> None:
    binaries = hook("llama_cpp")["binaries"]
    assert {target for _, target in binaries} == {"llama_cpp/lib"}
    assert any("libllama" in source or "llama.dll" in source for source, _ in binaries)
