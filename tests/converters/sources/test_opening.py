"""What a user names is opened by its kind, and what is no source is told apart from one that is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.converters.sources.base import CheckpointHead, GgufHead
from coalm_lite.converters.sources.opening import hub_place, open_source
from coalm_lite.errors import ModelError, UsageError
from tests.converters.tiny_checkpoint import Recipe, write_checkpoint
from tests.gguf_models import write_tiny_model


def test_a_folder_and_a_gguf_are_told_apart(tmp_path: Path) -> None:
    with open_source(str(write_checkpoint(tmp_path / "tiny", Recipe()))) as folder:
        assert isinstance(folder.head, CheckpointHead)
    with open_source(str(write_tiny_model(tmp_path / "without-suffix"))) as file:
        assert isinstance(file.head, GgufHead)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere", "there is no folder or file nowhere"),
        ("model.safetensors", "model.safetensors is one file of a checkpoint"),
        ("notes.txt", "notes.txt is neither a folder nor a GGUF file"),
        ("hf:", "is no place on the Hub"),
        ("hf:owner", "is no place on the Hub"),
        ("hf:owner/repo/model.gguf", "names a file, where a repository is needed"),
        ("hf:owner/repo:Q4_K_M", "names a file, where a repository is needed"),
    ],
)
def test_what_is_no_source_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"no model at all")
    with pytest.raises(UsageError, match=said) as caught, open_source(text):
        pass
    assert caught.value.hint


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises((ModelError, UsageError)), open_source("a\0b"):
        pass


def test_a_folder_that_is_no_checkpoint_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: file not found"), open_source(str(tmp_path)):
        pass


def test_a_repository_may_have_a_revision() -> None:
    place = hub_place("hf:owner/repo@v1")
    assert (place.repository, place.revision) == ("owner/repo", "v1")
