"""Where files go: the platform's folders, or all below COALM_LITE_HOME."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coalm_lite import paths

FOLDERS: dict[str, Callable[[], Path]] = {
    "config": paths.config_dir,
    "data": paths.data_dir,
    "cache": paths.cache_dir,
    "state": paths.state_dir,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_coalm_lite_home_holds_every_folder_and_none_is_created(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COALM_LITE_HOME", str(tmp_path / "home"))
    assert FOLDERS[name]() == tmp_path / "home" / name
    assert not (tmp_path / "home").exists()


def test_a_relative_or_tilde_home_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COALM_LITE_HOME", "here")
    assert paths.data_dir() == Path.cwd() / "here" / "data"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("COALM_LITE_HOME", "~/there")
    assert paths.data_dir() == tmp_path / "there" / "data"


@pytest.mark.parametrize("unset", [True, False])
def test_without_coalm_lite_home_the_folders_carry_the_applications_name(
    unset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unset:
        monkeypatch.delenv("COALM_LITE_HOME", raising=False)
    else:
        monkeypatch.setenv("COALM_LITE_HOME", "")
    for folder in FOLDERS.values():
        assert folder().is_absolute()
        assert "coalm-lite" in folder().parts
